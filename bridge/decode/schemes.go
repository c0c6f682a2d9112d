package decode

// Schemes returns the schemes that a Decoder knows by default, in the order in which they are asked: what a fixed first
// level tells before what only the shape of a topic does.
func Schemes() []*Scheme {
	return []*Scheme{
		sparkplug, kuraControl, opcua, siemensEdge, mindsphere, smartREST, cumulocity, thingsboard, awsShadow, azureIoT, meshtastic,
		teltonika,
		homie5, homie4, zigbee2mqtt, haDiscovery, owntracks, rtl433, ruuvi, wled, valetudo, frigate, zwave,
		openMQTTGatewayCodes, openMQTTGateway, shelly2, shelly1, tasmota,
		victron, thingsStack, chirpStack, teslamate, evcc, goECharger, solarAssistant, openEVSE,
		airGradient, emonHub, domoticz,
		esphome,
	}
}
