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
	"rpm": "rpm", "K": "K", "Ω": "Ω", "kΩ": "kΩ",
}

// suffixUnits are units as the last word of a key, in any case; none of these is anything else in use.
var suffixUnits = map[string]string{
	"celsius": "°C", "fahrenheit": "°F", "kelvin": "K", "degc": "°C", "degf": "°F", "pct": "%", "percent": "%",
	"kw": "kW", "wh": "Wh", "kwh": "kWh", "watt": "W", "watts": "W", "volt": "V", "volts": "V", "ampere": "A",
	"hz": "Hz", "khz": "kHz", "pa": "Pa", "hpa": "hPa", "kpa": "kPa", "bar": "bar", "mbar": "mbar", "psi": "psi",
	"mm": "mm", "cm": "cm", "km": "km", "kmh": kmPerHour, "kph": kmPerHour, "mph": "mph", "kg": "kg", "lux": "lx", "lx": "lx",
	"ppm": "ppm", "ppb": "ppb", "db": "dB", "dbm": "dBm", "rpm": "rpm", "mah": "mAh",
}

// exactUnits are suffixes that mean something only in this very case.
var exactUnits = map[string]string{
	"mA": "mA", "mV": "mV", "kV": "kV", "mW": "mW", "MW": "MW", "VA": "VA", "kVA": "kVA", "MHz": "MHz", "Ah": "Ah",
	"W": "W", "V": "V",
}

// compoundUnits are suffixes of two words.
var compoundUnits = map[string]string{
	"mm_s": "mm/s", "m_s": "m/s", "m_s2": "m/s²", "km_h": kmPerHour, "mm_h": "mm/h", "l_min": "l/min", "l_h": "l/h", "m3_h": "m³/h",
	"ug_m3": "µg/m³", "w_m2": "W/m²",
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
	i := strings.LastIndexByte(key, '_')
	if i <= 0 || i == len(key)-1 {
		return ""
	}
	base, suffix := strings.ToLower(key[:i]), key[i+1:]
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
		unit := readUnit(t.Value)
		prefix := t.Name[:len(t.Name)-len(key)]
		if has(unitKeys, key) {
			nameOnly(out.Readings[readings:], prefix, unit)
			continue
		}
		of, below := strings.CutSuffix(key, "Unit")
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
