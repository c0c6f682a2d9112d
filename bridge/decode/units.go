package decode

import "strings"

const kmPerHour = "km/h"

// valueUnits are units as they stand behind a bare value, exactly so.
var valueUnits = map[string]string{
	"°C": "°C", "°F": "°F", "°": "°", "%": "%", "W": "W", "kW": "kW", "MW": "MW", "VA": "VA", "var": "var",
	"Wh": "Wh", "kWh": "kWh", "MWh": "MWh", "V": "V", "mV": "mV", "A": "A", "mA": "mA", "Ah": "Ah", "mAh": "mAh",
	"Hz": "Hz", "kHz": "kHz", "MHz": "MHz", "Pa": "Pa", "hPa": "hPa", "kPa": "kPa", "bar": "bar", "mbar": "mbar",
	"mm": "mm", "cm": "cm", "m": "m", "km": "km", "m/s": "m/s", kmPerHour: kmPerHour, "mph": "mph", "kg": "kg", "g": "g",
	"l": "l", "L": "L", "m³": "m³", "m3": "m³", "m³/h": "m³/h", "l/min": "l/min", "s": "s", "ms": "ms", "min": "min",
	"h": "h", "lx": "lx", "lux": "lx", "ppm": "ppm", "ppb": "ppb", "µg/m³": "µg/m³", "dB": "dB", "dBm": "dBm",
	"rpm": "rpm", "K": "K", "Ω": "Ω", "kΩ": "kΩ", "MΩ": "MΩ", "C": "°C", "F": "°F", "degC": "°C", "degF": "°F", "\u2103": "°C",
	"\u2109": "°F", "%RH": "%", "% RH": "%", "kVA": "kVA", "kvar": "kvar", "kV": "kV", "kJ": "kJ", "MJ": "MJ", "J": "J",
	"W/m²": "W/m²", "W/m2": "W/m²", "mm/h": "mm/h", "l/h": "l/h", "L/h": "l/h", "L/min": "l/min", "l/s": "l/s", "m3/h": "m³/h",
	"µS/cm": "µS/cm", "uS/cm": "µS/cm", "mS/cm": "mS/cm", "NTU": "NTU", "pH": "pH", "dB(A)": "dB(A)", "dBA": "dB(A)",
	"ug/m3": "µg/m³", "µg/m3": "µg/m³", "mg/m³": "mg/m³", "mg/l": "mg/l", "mg/L": "mg/l", "Bq/m³": "Bq/m³", "µSv/h": "µSv/h",
	"uSv/h": "µSv/h", "kB": "kB", "MB": "MB", "GB": "GB", "kbit/s": "kbit/s", "Mbit/s": "Mbit/s", "inHg": "inHg", "mmHg": "mmHg",
	"psi": "psi", "kn": "kn", "ft": "ft", "lm": "lm", "Nm": "Nm", "N": "N", "kN": "kN", "µm": "µm", "µV": "µV", "µA": "µA", "mW": "mW",
	"m/s²": "m/s²", "m/s2": "m/s²", "mm/s": "mm/s", "ml": "ml", "mL": "ml", "1/min": "rpm", "U/min": "rpm",
}

// suffixUnits are units as the last word of a key, in any case; none of these is anything else in use.
var suffixUnits = map[string]string{
	"celsius": "°C", "fahrenheit": "°F", "kelvin": "K", "degc": "°C", "degf": "°F", "pct": "%", "percent": "%",
	"kw": "kW", "wh": "Wh", "kwh": "kWh", "watt": "W", "watts": "W", "volt": "V", "volts": "V", "ampere": "A",
	"hz": "Hz", "khz": "kHz", "pa": "Pa", "hpa": "hPa", "kpa": "kPa", "bar": "bar", "mbar": "mbar", "psi": "psi",
	"mm": "mm", "cm": "cm", "km": "km", "kmh": kmPerHour, "kph": kmPerHour, "mph": "mph", "kg": "kg", "lux": "lx", "lx": "lx",
	"ppm": "ppm", "ppb": "ppb", "db": "dB", "dbm": "dBm", "rpm": "rpm", "mah": "mAh", "amp": "A", "amps": "A", "kva": "kVA",
	"kvar": "kvar", "kvarh": "kvarh", "ohm": "Ω", "ohms": "Ω", "lumen": "lm", "meters": "m", "metres": "m", "liters": "l", "litres": "l",
	"seconds": "s", "minutes": "min", "hours": "h", "bytes": "B", "lpm": "l/min", "inhg": "inHg", "mmhg": "mmHg", "knots": "kn",
}

// exactUnits are suffixes that mean something only in this very case.
var exactUnits = map[string]string{
	"mA": "mA", "mV": "mV", "kV": "kV", "mW": "mW", "MW": "MW", "VA": "VA", "kVA": "kVA", "MHz": "MHz", "Ah": "Ah",
	"W": "W", "V": "V",
}

// compoundUnits are suffixes of two words.
var compoundUnits = map[string]string{
	"mm_s": "mm/s", "m_s": "m/s", "m_s2": "m/s²", "km_h": kmPerHour, "mm_h": "mm/h", "l_min": "l/min", "l_h": "l/h", "m3_h": "m³/h",
	"ug_m3": "µg/m³", "w_m2": "W/m²", "us_cm": "µS/cm", "mg_m3": "mg/m³", "mg_l": "mg/l", "usv_h": "µSv/h", "bq_m3": "Bq/m³",
}

// letterUnits are suffixes of a letter or another that mean several things: they count only behind a quantity that is measured so, given as beginnings of
// words.
var letterUnits = map[string]struct {
	unit       string
	quantities []string
}{
	"c":   {"°C", []string{"temp", "t", "dew", "water", "air", "room", "outside", "inside", "supply", "return"}},
	"f":   {"°F", []string{"temp", "dew"}},
	"w":   {"W", []string{"power", "pow", "p", "load", "pv", "grid", "solar", "active"}},
	"v":   {"V", []string{"volt", "u", "bat", "vbat", "vcc", "supply"}},
	"a":   {"A", []string{"curr", "i", "amp"}},
	"g":   {"g", []string{"weight", "mass", "acc"}},
	"mv":  {"mV", []string{"volt", "u", "bat", "vbat", "vcc", "supply"}},
	"s":   {"s", []string{"uptime", "duration", "interval", "elapsed", "runtime"}},
	"ms":  {"ms", []string{"latency", "duration", "delay", "ping", "rtt", "interval", "elapsed", "runtime"}},
	"deg": {"°", []string{"heading", "angle", "direction", "azimuth", "tilt", "course", "latitude", "longitude"}},
}

// keyUnits are whole keys, or whole words of one, that carry their unit.
var keyUnits = map[string]string{
	"tempc": "°C", "tempf": "°F", "TempC": "°C", "TempF": "°F", "tC": "°C", "tF": "°F", "BatV": "V",
}

// unitOfKey is the unit that a key's suffix says; empty if none does beyond doubt.
func unitOfKey(key string) string {
	first, _, _ := strings.Cut(key, "_")
	if unit := keyUnits[first]; unit != "" {
		return unit
	}
	if i := strings.LastIndexAny(key, "([ "); i > 0 {
		return valueUnits[strings.Trim(key[i:], "()[] ")]
	}
	base, suffix := cutSuffix(key)
	if suffix == "" {
		return ""
	}
	base = strings.ToLower(base)
	if unit := exactUnits[suffix]; unit != "" {
		return unit
	}
	lower := strings.ToLower(suffix)
	if k := strings.LastIndexByte(base, '_'); k > 0 {
		if unit := compoundUnits[base[k+1:]+"_"+lower]; unit != "" {
			return unit
		}
	}
	if letter, isLetter := letterUnits[lower]; isLetter {
		for _, quantity := range letter.quantities {
			if base == quantity || len(quantity) > 2 && strings.Contains(base, quantity) {
				return letter.unit
			}
		}
		return ""
	}
	return suffixUnits[lower]
}

// cutSuffix parts a key before its last word: behind the last underscore, or where capitals begin again. The suffix is
// empty where there is but one.
func cutSuffix(key string) (base, suffix string) {
	if i := strings.LastIndexByte(key, '_'); i >= 0 {
		if i == 0 || i == len(key)-1 {
			return key, ""
		}
		return key[:i], key[i+1:]
	}
	for i := len(key) - 1; i > 0; i-- {
		if key[i] >= 'A' && key[i] <= 'Z' && key[i-1] >= 'a' && key[i-1] <= 'z' {
			return key[:i], key[i:]
		}
	}
	return key, ""
}

// readUnit writes a unit that a message names the way a person reads it.
func readUnit(unit string) string {
	switch unit {
	case "C", "degC", "celsius", "Celsius", "Cel", "\u2103":
		return "°C"
	case "F", "degF", "fahrenheit", "Fahrenheit", "\u2109":
		return "°F"
	case "percent", "pct", "%RH":
		return "%"
	default:
		const longest = 24
		return string(cut([]byte(unit), longest))
	}
}

// nameSiblings gives the units that an object's unit keys say to the readings of the same object: "unit" to its "value"
// or its only reading, "pressure_unit" to "pressure", "TempUnit" to all below whose key begins with "Temp".
// These texts have said all they have to say and go.
func nameSiblings(out *Result, readings, texts int) {
	kept := out.Texts[:texts]
	for _, t := range out.Texts[texts:] {
		key := lastKey(t.Name)
		if classify(key) != keyUnit {
			kept = append(kept, t)
			continue
		}
		if hasSuffix(key, "_units", "Units") && !has(unitKeys, key) {
			kept = append(kept, t) // perhaps a setting
		}
		unit := readUnit(t.Value)
		prefix := t.Name[:len(t.Name)-len(key)]
		if has(unitKeys, key) {
			nameOnly(out.Readings[readings:], prefix, unit)
			continue
		}
		of, below := strings.CutSuffix(strings.TrimSuffix(key, "s"), "Unit")
		of = strings.TrimSuffix(of, "_unit")
		for i := range out.Readings[readings:] {
			r := &out.Readings[readings+i]
			if r.Unit == "" && (r.Name == prefix+of || below && of != "" && strings.HasPrefix(lastKey(r.Name), of)) {
				r.Unit = unit
			}
		}
	}
	out.Texts = kept
}

// nameOnly gives unit to the one reading that it can only belong to.
func nameOnly(readings []Reading, prefix, unit string) {
	if len(readings) == 1 {
		readings[0].Unit = unit
		return
	}
	for i := range readings {
		name := strings.TrimPrefix(readings[i].Name, prefix)
		if name == "value" || name == "val" || name == strings.TrimSuffix(prefix, ".") {
			readings[i].Unit = unit
		}
	}
}
