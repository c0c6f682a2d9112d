package decode

import "strings"

// victron are the services of a Victron GX device (Venus OS): https://github.com/victronenergy/dbus-flashmq and
// https://github.com/victronenergy/venus/wiki/dbus. N/<portal>/<service>/<instance>/<path> tells a value, W/… asks for
// another, R/… to be told it.
var victron = &Scheme{
	Name:  "victron-venus",
	Topic: victronTopic,
	Keys: map[string]Key{
		"Power": {Unit: "W"}, "P": {Unit: "W"}, "S": {Unit: "VA"}, "Voltage": {Unit: "V"}, "V": {Unit: "V"}, "Current": {Unit: "A"},
		"I": {Unit: "A"}, "Frequency": {Unit: "Hz"}, "F": {Unit: "Hz"}, "MaxPower": {Unit: "W"}, "PowerLimit": {Unit: "W"},
		"AcPowerSetpoint": {Unit: "W"}, "Soc": {Unit: "%"}, "Soh": {Unit: "%"}, "SocTarget": {Unit: "%"}, "MinimumSocLimit": {Unit: "%"},
		"Temperature": {Unit: "°C"}, "AirTemperature": {Unit: "°C"}, "MidVoltage": {Unit: "V"}, "MidVoltageDeviation": {Unit: "%"},
		"StarterVoltage":   {Unit: "V"},
		"ConsumedAmphours": {Unit: "Ah"}, "TotalAhDrawn": {Unit: "Ah"}, "DeepestDischarge": {Unit: "Ah"}, "LastDischarge": {Unit: "Ah"},
		"AverageDischarge": {Unit: "Ah"}, "InstalledCapacity": {Unit: "Ah"}, "Battery.0.Capacity": {Unit: "Ah"}, "TimeToGo": {Unit: "s"},
		"MinimumVoltage": {Unit: "V"}, "MaximumVoltage": {Unit: "V"}, "MinCellVoltage": {Unit: "V"}, "MaxCellVoltage": {Unit: "V"},
		"MinCellTemperature": {Unit: "°C"}, "MaxCellTemperature": {Unit: "°C"}, "MaxChargeVoltage": {Unit: "V"}, "MaxChargeCurrent": {Unit: "A"},
		"MaxDischargeCurrent": {Unit: "A"}, "BatteryLowVoltage": {Unit: "V"}, "ChargedEnergy": {Unit: "kWh"}, "DischargedEnergy": {Unit: "kWh"},
		"TimeSinceLastFullCharge": {Unit: "s"}, "CurrentLimit": {Unit: "A"}, "MaxCurrent": {Unit: "A"}, "SetCurrent": {Unit: "A"},
		"Energy.Forward": {Unit: "kWh"}, "Energy.Reverse": {Unit: "kWh"}, "Forward": {Unit: "kWh"}, "Reverse": {Unit: "kWh"},
		"Session.Energy": {Unit: "kWh"}, "Session.Time": {Class: ClassMetric, Unit: "s"}, "ChargingTime": {Class: ClassMetric, Unit: "s"},
		"Yield.User": {Unit: "kWh"}, "Yield.System": {Unit: "kWh"}, "Yield": {Unit: "kWh"}, "Consumption": {Unit: "kWh"},
		"InverterToAcOut": {Unit: "kWh"}, "InverterToAcIn1": {Unit: "kWh"}, "InverterToAcIn2": {Unit: "kWh"}, "OutToInverter": {Unit: "kWh"},
		"AcIn1ToInverter": {Unit: "kWh"}, "AcIn2ToInverter": {Unit: "kWh"}, "AcIn1ToAcOut": {Unit: "kWh"}, "AcIn2ToAcOut": {Unit: "kWh"},
		"AcOutToAcIn1": {Unit: "kWh"}, "AcOutToAcIn2": {Unit: "kWh"}, "SolarToAcOut": {Unit: "kWh"}, "SolarToBattery": {Unit: "kWh"},
		"SolarToAcIn1": {Unit: "kWh"}, "TimeInBulk": {Unit: "min"}, "TimeInAbsorption": {Unit: "min"}, "TimeInFloat": {Unit: "min"},
		"MaxPvVoltage": {Unit: "V"}, "MaxBatteryVoltage": {Unit: "V"}, "MinBatteryVoltage": {Unit: "V"}, "MaxBatteryCurrent": {Unit: "A"},
		"Level": {Unit: "%"}, "Remaining": {Unit: "m³"}, "Capacity": {Unit: "m³"}, "Humidity": {Unit: "%"}, "Pressure": {Unit: "hPa"},
		"BatteryVoltage": {Unit: "V"}, "Irradiance": {Unit: "W/m²"}, "CellTemperature": {Unit: "°C"}, "ExternalTemperature": {Unit: "°C"},
		"WindSpeed": {Unit: "m/s"}, "Latitude": {Unit: "°"}, "Longitude": {Unit: "°"}, "Course": {Unit: "°"}, "Speed": {Unit: "m/s"},
		"Altitude": {Unit: "m"}, "Runtime": {Unit: "s"}, "TodayRuntime": {Unit: "s"}, "Engine.Speed": {Unit: "rpm"},
		"Engine.CoolantTemperature": {Unit: "°C"}, "Engine.Load": {Unit: "%"}, "Dimming": {Unit: "%"},
		"DeviceInstance": {Class: ClassText}, "CustomName": {Class: ClassText}, "ProductName": {Class: ClassText}, "Serial": {Class: ClassText},
		"DeviceName": {Class: ClassText}, "ProcessName": {Class: ClassText}, "Connection": {Class: ClassText}, "AllowedRoles": {Class: ClassText},
		"Time": {Class: ClassText}, "StartTime": {Class: ClassText}, "LastUpdateTime": {Class: ClassText},
		"TimeLastContact": {Class: ClassText}, "LastContact": {Class: ClassText},
		"NetworkStatus": {Class: ClassText}, "FirmwareVersion": {Class: ClassText}, "HardwareVersion": {Class: ClassText},
	},
}

// victronTopic reads the topics. A portal's own (heartbeat, keepalive, full_publish_completed) have three levels.
func victronTopic(levels []string) (Address, bool) {
	const portalLevels, instance = 3, 3
	if len(levels) < portalLevels || levels[0] != "N" && levels[0] != "R" && levels[0] != "W" {
		return Address{}, false
	}
	a := Address{Device: levels[1], Subject: strings.Join(levels[2:], "."), Role: RoleQuiet}
	if len(levels) > instance {
		if !isDigits(levels[instance]) {
			return Address{}, false
		}
		a = Address{
			Device: strings.Join(levels[1:instance+1], "/"), Subject: strings.Join(levels[instance+1:], "."),
			Kind: levels[2], Decode: victronValue,
		}
	}
	if levels[0] != "N" {
		a.Role = RoleCommand
	}
	return a, true
}

// victronValue reads {"value": …}. What stands beside it are the limits of a setting. A value that the device does not
// have is null or [].
func victronValue(s *Scope, in *Input, out *Result) (bool, error) {
	if ok, err := s.object(in, out); !ok {
		return false, err
	}
	value := member(in.Payload, "value")
	if value == nil {
		return true, nil
	}
	switch in.Topic[strings.LastIndexByte(in.Topic, '/')+1:] {
	case "CustomName":
		out.Name = scalar(value)
	case "ProductName":
		out.Kind = scalar(value)
	}
	return true, s.part(in, out, "value", value)
}
