package decode

import "strings"

// openMQTTGateway are OpenMQTTGateway (https://docs.openmqttgateway.com/) and Theengs Gateway (https://gateway.theengs.io/),
// which hear other devices by radio: …/<gateway>/BTtoMQTT/<address>. The properties are those of Theengs Decoder:
// https://decoder.theengs.io/.
var openMQTTGateway = &Scheme{
	Name: "openmqttgateway",
	Rules: []Rule{
		{Topic: "home/{device}/LWT", Role: RoleStatus},
		{Topic: "home/{device}/version", Role: RoleRegistry, Decode: verbatim},
		{Topic: "home/{device}/commands/#", Role: RoleCommand},
	},
	Topic: omgTopic,
	Keys: map[string]Key{
		"hum": {Unit: "%"}, "batt": {Unit: "%"}, "volt": {Unit: "V"}, "rssi": {Unit: "dBm"}, "pres": {Unit: "hPa"}, "lux": {Unit: "lx"},
		"tempc": {Unit: "°C"}, "tempf": {Unit: "°F"}, "temperature_C": {Unit: "°C"}, "temperature_F": {Unit: "°F"}, "moi": {Unit: "%"},
		"fer": {Unit: "µS/cm"}, "accx": {Unit: "m/s²"}, "accy": {Unit: "m/s²"}, "accz": {Unit: "m/s²"}, "co2": {Unit: "ppm"},
		"pm25": {Unit: "µg/m³"}, "pm10": {Unit: "µg/m³"}, "distance": {Unit: "m"}, "for": {Unit: "mg/m³"}, "humidity": {Unit: "%"},
		"freemem": {Unit: "B"}, "freestack": {Unit: "B"}, "uptime": {Unit: "s"}, "tempc2": {Unit: "°C"}, "tempf2": {Unit: "°F"},
		"id": {Class: ClassText}, "name": {Class: ClassText}, "servicedata": {Class: ClassText}, "servicedatauuid": {Class: ClassText},
		"manufacturerdata": {Class: ClassText}, "mac_type": {Class: ClassText}, "adv_type": {Class: ClassText}, "mfid": {Class: ClassText},
		"uuid": {Class: ClassText}, "packet": {Class: ClassText}, "mic": {Class: ClassText}, "protocol": {Class: ClassText},
		"channel": {Class: ClassText}, "hex": {Class: ClassText}, "raw": {Class: ClassText}, "datasource": {Class: ClassText}, "mqttport": {Class: ClassText},
		"mport": {Class: ClassText}, "mqttp": {Class: ClassText}, "subtype": {Class: ClassText}, "time": {Class: ClassTime}, "unixtime": {Class: ClassTime},
	},
}

// openMQTTGatewayCodes are what it hears of remote controls: numbers that tell buttons apart and have no course.
var openMQTTGatewayCodes = &Scheme{
	Name: "openmqttgateway-codes",
	Rules: []Rule{
		{Topic: "home/{device}/433toMQTT|IRtoMQTT|PilighttoMQTT|SRFBtoMQTT|RFtoMQTT|RF2toMQTT|RFM69toMQTT|2GtoMQTT/#"},
	},
	Keys: map[string]Key{
		"value": {Class: ClassText}, "protocol": {Class: ClassText}, "bits": {Class: ClassText}, "length": {Class: ClassText},
		"hex": {Class: ClassText}, "raw": {Class: ClassText}, "delay": {Class: ClassText}, "mask": {Class: ClassText},
		"binary": {Class: ClassText}, "tre_state": {Class: ClassText}, "address": {Class: ClassText}, "message": {Class: ClassText},
		"unit": {Class: ClassText}, "groupbit": {Class: ClassText}, "switchtype": {Class: ClassText}, "phone": {Class: ClassText},
		"rssi": {Unit: "dBm"}, "RSSI": {Unit: "dBm"},
	},
}

// omgTopic finds the level that names the radio and its direction.
func omgTopic(levels []string) (Address, bool) {
	for i, level := range levels {
		radio, from := strings.CutSuffix(level, "toMQTT")
		switch {
		case i == 0:
		case from && radio == "SYS":
			return Address{Device: levels[i-1]}, true
		case from && radio != "":
			a := Address{Device: levels[i-1], Decode: omgHeard}
			if radio == "BT" && i < len(levels)-1 {
				a.Device = levels[len(levels)-1]
			}
			return a, true
		case level == "commands" && i < len(levels)-1 && strings.HasPrefix(levels[i+1], "MQTTto"):
			return Address{Device: levels[i-1], Role: RoleCommand}, true
		}
	}
	return Address{}, false
}

// omgHeard reads what has been heard of a device, which the payload names.
func omgHeard(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	var id string
	for key, value := range members(in.Payload) {
		switch string(key) {
		case "id":
			id = s.word(value)
		case "model":
			out.Kind = s.word(value)
		case "name":
			out.Name = s.word(value)
		}
	}
	switch radio := strings.Contains(in.Topic, "/RTL_433toMQTT"); {
	case radio:
		s.SetDevice(out, s.rtl433Device(in.Payload))
	case id != "":
		s.SetDevice(out, id)
	}
	if _, err := (JSON{}).Decode(s, in, out); err != nil {
		return true, err
	}
	siblingUnits(out)
	return true, nil
}

// siblingUnits gives readings the units that stand beside them: that of "avg" in "avgu".
func siblingUnits(out *Result) {
	for i := range out.Readings {
		r := &out.Readings[i]
		for _, t := range out.Texts {
			if len(t.Name) == len(r.Name)+1 && t.Name[len(r.Name)] == 'u' && strings.HasPrefix(t.Name, r.Name) {
				r.Unit = readUnit(t.Value)
			}
		}
	}
}
