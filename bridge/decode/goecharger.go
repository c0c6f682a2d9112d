package decode

import "strings"

// goECharger are go-e's chargers: https://github.com/goecharger/go-eCharger-API-v2 (a topic a key; the will is that mcc is
// false) and, of the first generation, https://github.com/goecharger/go-eCharger-API-v1 (all keys in "status").
var goECharger = &Scheme{
	Name: "go-echarger",
	Rules: []Rule{
		{Topic: "go-eCharger/{device}/{subject}/set|result", Role: RoleCommand},
		{Topic: "go-eCharger/{device}/cmd/req", Role: RoleCommand},
		{Topic: "go-eCharger/{device}/{subject:mcc|online}", Role: RoleStatus},
		{Topic: "go-eCharger/{device}/status"},
		{Topic: "go-eCharger/{device}/{subject:fna}", Decode: namesDevice},
		{Topic: "go-eCharger/{device}/{subject:awpl|log|scan|scas|data|dll}", Role: RoleQuiet},
		{Topic: "go-eCharger/{device}/{subject:nrg|tma}", Decode: goEArray},
		{Topic: "go-eCharger/{device}/{subject...}"},
	},
	Keys: map[string]Key{
		"amp": {Unit: "A"}, "ama": {Unit: "A"}, "acu": {Unit: "A"}, "amt": {Unit: "A"}, "cbl": {Unit: "A"}, "mca": {Unit: "A"},
		"clp": {Unit: "A"}, "wh": {Unit: "Wh"}, "fhz": {Unit: "Hz"}, "rssi": {Unit: "dBm"}, "rbt": {Unit: "ms"},
		"pgrid": {Unit: "W"}, "ppv": {Unit: "W"}, "pakku": {Unit: "W"}, "pvopt_averagePGrid": {Unit: "W"},
		"pvopt_averagePPv": {Unit: "W"}, "pvopt_averagePAkku": {Unit: "W"}, "pgt": {Unit: "W"}, "fst": {Unit: "W"}, "spl3": {Unit: "W"},
		"po": {Unit: "W"}, "mpwst": {Unit: "ms"}, "mptwt": {Unit: "ms"}, "mcpd": {Unit: "ms"}, "mcpea": {Unit: "ms"}, "fmt": {Unit: "ms"},
		"fna": {Class: ClassText}, "ffna": {Class: ClassText}, "sse": {Class: ClassText}, "fwv": {Class: ClassText}, "typ": {Class: ClassText},
		"oem": {Class: ClassText}, "loc": {Class: ClassText}, "utc": {Class: ClassTime}, "lwf": {Class: ClassText}, "tme": {Class: ClassText},
		"version": {Class: ClassText}, "wss": {Class: ClassText}, "wak": {Class: ClassText}, "cid": {Class: ClassText}, "cch": {Class: ClassText},
		"cfi": {Class: ClassText}, "mcs": {Class: ClassText},
		"cards.name": {Class: ClassText}, "awcp.start": {Class: ClassHidden}, "awcp.end": {Class: ClassHidden},
	},
}

// goEUnits are the units of the positions of "nrg": voltages of L1, L2, L3 and N, currents and powers, power factors.
var goEUnits = [...]string{"V", "V", "V", "V", "A", "A", "A", "W", "W", "W", "W", "W", "%", "%", "%", "%"}

// goEArray reads an array whose positions carry the meaning.
func goEArray(s *Scope, in *Input, out *Result) (bool, error) {
	understood, err := JSON{}.Decode(s, in, out)
	if err != nil || !understood {
		return understood, err
	}
	for i := range out.Readings {
		if r := &out.Readings[i]; strings.HasSuffix(in.Topic, "/tma") {
			r.Unit = "°C"
		} else if i < len(goEUnits) && len(out.Readings) == len(goEUnits) {
			r.Unit = goEUnits[i]
		}
	}
	return true, nil
}
