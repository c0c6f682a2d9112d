package decode

import (
	"bytes"
	"slices"
	"strings"

	"pulso/bridge/event"
)

// tasmota are devices with the Tasmota firmware: https://tasmota.github.io/docs/MQTT/. Their FullTopic puts the prefix
// (tele, stat, cmnd) before the device, behind it, or between it and what the house's topics begin with.
var tasmota = &Scheme{
	Name: "tasmota",
	Rules: []Rule{
		{Topic: "tasmota/discovery/{device}/config|sensors", Role: RoleRegistry, Decode: tasmotaDiscovery},
	},
	Topic: tasmotaTopic,
	Keys: map[string]Key{
		"Time": {Class: ClassTime}, "Epoch": {Class: ClassTime}, "Device": {Class: ClassText}, "Endpoint": {Class: ClassText},
		"Group": {Class: ClassText}, "Data": {Class: ClassText}, "DataLSB": {Class: ClassText}, "Hash": {Class: ClassText},
		"RfKey": {Class: ClassText}, "SerialReceived": {Class: ClassText}, "SSerialReceived": {Class: ClassText},
		"Color": {Class: ClassText}, "HSBColor": {Class: ClassText}, "IPAddress": {Class: ClassText}, "Cmnd": {Class: ClassText},
		"CmndData": {Class: ClassText}, "DpType": {Class: ClassText}, "UID": {Class: ClassText}, "Uptime": {Class: ClassText},
		"UptimeSec": {Unit: "s"}, "Heap": {Unit: "kB"}, "LoadAvg": {Unit: "%"}, "Vcc": {Unit: "V"}, "Wifi.RSSI": {Unit: "%"},
		"Wifi.Signal": {Unit: "dBm"}, "TotalStartTime": {Class: ClassText}, "StartupUTC": {Class: ClassText},
		"ENERGY.Total": {Unit: "kWh"}, "ENERGY.Yesterday": {Unit: "kWh"}, "ENERGY.Today": {Unit: "kWh"}, "ENERGY.Period": {Unit: "Wh"},
		"ENERGY.Power": {Unit: "W"}, "ENERGY.ApparentPower": {Unit: "VA"}, "ENERGY.ReactivePower": {Unit: "var"},
		"ENERGY.Voltage": {Unit: "V"}, "ENERGY.Current": {Unit: "A"}, "ENERGY.Frequency": {Unit: "Hz"},
		"ENERGY.ExportActive": {Unit: "kWh"}, "ENERGY.ImportActive": {Unit: "kWh"}, "ENERGY.ExportReactive": {Unit: "kvarh"},
		"ENERGY.ImportReactive": {Unit: "kvarh"}, "ENERGY.TotalTariff": {Unit: "kWh"}, "ENERGY.PhaseAngle": {Unit: "°"},
		"Humidity": {Unit: "%"}, "CarbonDioxide": {Unit: "ppm"}, "eCO2": {Unit: "ppm"}, "TVOC": {Unit: "ppb"},
		"Illuminance": {Unit: "lx"}, "BatteryPercentage": {Unit: "%"}, "Battery": {Unit: "%"},
	},
}

// tasmotaTopic finds the prefix, whatever the FullTopic.
func tasmotaTopic(levels []string) (Address, bool) {
	last := len(levels) - 1
	at := slices.IndexFunc(levels, func(level string) bool { return level == "tele" || level == "stat" || level == "cmnd" })
	if at < 0 || at >= last || last < 2 {
		return Address{}, false
	}
	a := Address{Device: strings.Join(levels[at+1:last], "/")}
	if at == last-1 {
		a.Device = shortDevice(levels[:at])
	}
	known := a.tasmota(levels[at], levels[last])
	return a, known
}

// tasmota says what the messages of a prefix and a last level are. It reports whether they are Tasmota's.
func (a *Address) tasmota(prefix, last string) bool {
	switch {
	case prefix == "cmnd":
		a.Role = RoleCommand
	case last == "LOGGING", last == "UPTIME", last == "UPGRADE":
		a.Role, a.Decode = RoleQuiet, verbatim
	case prefix == "stat" && strings.HasPrefix(last, "STATUS"):
		a.Decode = tasmotaStatus
	case last == "RESULT":
		a.Decode = tasmotaSensor
	case prefix == "stat":
		return last == strings.ToUpper(last)
	case last == "LWT":
		a.Role = RoleStatus
	case last == "INFO1", last == "INFO2":
		a.Role = RoleRegistry
	case last == "SENSOR", last == "STATE", last == "ENERGY", last == "INFO3", last == "MARGINS", last == "ZbReceived":
		a.Decode = tasmotaSensor
	case last == "HASS_STATE", last == "WAKEUP":
	default:
		return false
	}
	return true
}

// tasmotaSensor reads what a device measures, or what it has received from one that speaks Zigbee and has no topics of its
// own: {"ZbReceived":{"Kitchen":{…}}}.
func tasmotaSensor(s *Scope, in *Input, out *Result) (bool, error) {
	zigbee := in.Payload
	if !strings.HasSuffix(in.Topic, "/ZbReceived") {
		const key = `"ZbReceived"`
		if !bytes.Contains(in.Payload, []byte(key)) {
			understood, err := JSON{}.Decode(s, in, out)
			tasmotaUnits(in.Payload, out)
			return understood, err
		}
		zigbee = nil
	}
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	if zigbee == nil {
		zigbee = member(in.Payload, "ZbReceived")
	}
	return true, s.tasmotaZigbee(in, out, zigbee)
}

// tasmotaZigbee reads what has been received; where it is from several devices, it stays with the gateway.
func (s *Scope) tasmotaZigbee(in *Input, out *Result, received []byte) error {
	device, values, count := "", []byte(nil), 0
	for key, value := range members(received) {
		count++
		if len(value) > 0 && value[0] == '{' {
			device, values = string(unescape(nil, key)), value
		}
	}
	if received == nil {
		return nil
	}
	if count != 1 || values == nil {
		return s.part(in, out, "", received)
	}
	s.SetDevice(out, device)
	return s.part(in, out, "", values)
}

// tasmotaUnits gives the units that the payload's root states to what is measured in them besides what bears their name.
func tasmotaUnits(payload []byte, out *Result) {
	if !bytes.Contains(payload, []byte(`Unit"`)) {
		return
	}
	temperature, pressure, speed := "", "", ""
	for key, value := range members(payload) {
		switch string(key) {
		case "TempUnit":
			temperature = readUnit(scalar(value))
		case "PressureUnit":
			pressure = readUnit(scalar(value))
		case "SpeedUnit":
			speed = readUnit(scalar(value))
		}
	}
	for i := range out.Readings {
		r := &out.Readings[i]
		if r.Unit != "" {
			continue
		}
		switch key := lastKey(r.Name); {
		case strings.HasPrefix(key, "Temp"), key == "DewPoint", key == "HeatIndex":
			r.Unit = temperature
		case strings.HasSuffix(key, "Pressure"):
			r.Unit = pressure
		case key == "Speed", strings.HasSuffix(key, "WindSpeed"):
			r.Unit = speed
		}
	}
}

// tasmotaStatus reads the replies to the command Status. The sensors' and the state's are as on tele, in a wrapping; of the
// others, which describe the configuration, the texts are kept.
func tasmotaStatus(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	for key, value := range members(in.Payload) {
		name, readings, at := string(key), len(out.Readings), out.DeviceTime
		if name == "StatusSNS" || name == "StatusSTS" {
			if err := s.part(in, out, "", value); err != nil {
				return true, err
			}
			tasmotaUnits(value, out)
			continue
		}
		if err := s.part(in, out, name, value); err != nil {
			return true, err
		}
		out.Readings, out.DeviceTime = out.Readings[:readings], at
		if name == "Status" {
			out.Name = scalar(member(value, "DeviceName"))
		}
	}
	return true, nil
}

// tasmotaNames are the devices' topics, by the hardware address that they are discovered by.
var tasmotaNames = Facts[string]{Kind: "tasmota"}

// tasmotaDiscovery reads what devices tell of themselves for Home Assistant's integration: their names, where their will is
// and its words.
func tasmotaDiscovery(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	mac := out.Device
	if strings.HasSuffix(in.Topic, "/sensors") {
		if device, found := tasmotaNames.Recall(s, mac); found {
			s.SetDevice(out, device)
		}
		return JSON{}.Decode(s, in, out)
	}
	device, full := scalar(member(in.Payload, "t")), scalar(member(in.Payload, "ft"))
	out.Name, out.Kind = scalar(member(in.Payload, "dn")), scalar(member(in.Payload, "md"))
	if device != "" {
		tasmotaNames.Remember(s, mac, device)
		s.SetDevice(out, device)
		will := strings.NewReplacer("%topic%", device, "%prefix%", "tele").Replace(strings.TrimSuffix(full, "/")) + "/LWT"
		if event.CheckTopic(will) == nil {
			s.Tell(will, Told{
				Device: device, Weak: true, Name: out.Name, Kind: out.Kind, Role: RoleStatus,
				Online: scalar(member(in.Payload, "onln")), Offline: scalar(member(in.Payload, "ofln")),
			})
		}
	}
	return JSON{}.Decode(s, in, out)
}
