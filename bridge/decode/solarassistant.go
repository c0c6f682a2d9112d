package decode

// solarAssistant is SolarAssistant: https://solar-assistant.io/help/integration/mqtt. "total" is the whole plant.
var solarAssistant = &Scheme{
	Name: "solar-assistant",
	Rules: []Rule{
		{Topic: "{device:solar_assistant}/set/#", Role: RoleCommand},
		{Topic: "{device:solar_assistant}/{device}/{subject...}/set", Role: RoleCommand},
		{Topic: "{device:solar_assistant}/{device}/{subject...}/state"},
	},
	Keys: map[string]Key{
		"pv_power": {Unit: "W"}, "pv_power_1": {Unit: "W"}, "pv_power_2": {Unit: "W"}, "pv_power_3": {Unit: "W"}, "pv_power_4": {Unit: "W"},
		"load_power": {Unit: "W"}, "load_power_1": {Unit: "W"}, "load_power_2": {Unit: "W"}, "load_power_3": {Unit: "W"},
		"load_power_essential": {Unit: "W"}, "load_power_non-essential": {Unit: "W"}, "load_apparent_power": {Unit: "VA"},
		"grid_power": {Unit: "W"}, "grid_power_1": {Unit: "W"}, "grid_power_2": {Unit: "W"}, "grid_power_3": {Unit: "W"},
		"grid_power_ct": {Unit: "W"}, "grid_power_ld": {Unit: "W"}, "battery_power": {Unit: "W"}, "auxiliary_power": {Unit: "W"},
		"pv_voltage": {Unit: "V"}, "pv_voltage_1": {Unit: "V"}, "pv_voltage_2": {Unit: "V"}, "pv_voltage_3": {Unit: "V"},
		"pv_current": {Unit: "A"}, "pv_current_1": {Unit: "A"}, "pv_current_2": {Unit: "A"}, "pv_current_3": {Unit: "A"},
		"grid_voltage": {Unit: "V"}, "grid_voltage_1": {Unit: "V"}, "grid_voltage_2": {Unit: "V"}, "grid_voltage_3": {Unit: "V"},
		"grid_current": {Unit: "A"}, "grid_frequency": {Unit: "Hz"}, "ac_output_voltage": {Unit: "V"}, "ac_output_frequency": {Unit: "Hz"},
		"load_voltage": {Unit: "V"}, "load_frequency": {Unit: "Hz"}, "load_percentage": {Unit: "%"}, "load_current": {Unit: "A"},
		"battery_voltage": {Unit: "V"}, "battery_current": {Unit: "A"}, "battery_state_of_charge": {Unit: "%"},
		"battery_state_of_health": {Unit: "%"}, "battery_temperature": {Unit: "°C"}, "temperature": {Unit: "°C"},
		"inverter_temperature": {Unit: "°C"}, "mos_temperature": {Unit: "°C"}, "bus_voltage": {Unit: "V"}, "capacity": {Unit: "Ah"},
		"charge_capacity": {Unit: "Ah"}, "cell_voltage_-_highest": {Unit: "V"}, "cell_voltage_-_lowest": {Unit: "V"},
		"cell_voltage_-_average": {Unit: "V"}, "pv_energy": {Unit: "kWh"}, "load_energy": {Unit: "kWh"}, "grid_energy_in": {Unit: "kWh"},
		"grid_energy_out": {Unit: "kWh"}, "battery_energy_in": {Unit: "kWh"}, "battery_energy_out": {Unit: "kWh"},
		"max_charge_current": {Unit: "A"}, "max_discharge_current": {Unit: "A"}, "max_grid_charge_current": {Unit: "A"},
		"max_sell_power": {Unit: "W"}, "battery_float_charge_voltage": {Unit: "V"}, "battery_absorption_charge_voltage": {Unit: "V"},
		"battery_equalization_voltage": {Unit: "V"}, "shutdown_battery_voltage": {Unit: "V"}, "to_grid_battery_voltage": {Unit: "V"},
		"time_point_1": {Class: ClassText}, "time_point_2": {Class: ClassText}, "time_point_3": {Class: ClassText},
		"time_point_4": {Class: ClassText}, "time_point_5": {Class: ClassText}, "time_point_6": {Class: ClassText},
		"state_of_charge": {Unit: "%"}, "state_of_health": {Unit: "%"}, "voltage": {Unit: "V"}, "current": {Unit: "A"}, "power": {Unit: "W"},
		"serial_number": {Class: ClassText}, "firmware_version": {Class: ClassText},
	},
}
