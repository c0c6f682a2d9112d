package decode

// decodeMindsphere reads lists of values by the ids of their data points, as MindSphere takes them: alone, or with a time
// as {"timestamp":…,"values":[…]}, several of them, or under "timeseries".
func decodeMindsphere(s *Scope, in *Input, out *Result) (bool, error) {
	p := s.points(in, out)
	root := trim(in.Payload)
	if list := member(root, "timeseries"); list != nil {
		root = list
	}
	for entry := range elements(root) {
		at := timeOfText([]byte(scalar(member(entry, "timestamp"))))
		values := member(entry, "values")
		if values == nil {
			values = entry
		}
		for v := range elements(values) {
			if id := scalar(member(v, "dataPointId")); id != "" {
				p.json([]byte(id), "", member(v, "value"), at)
			}
		}
	}
	p.done()
	return true, nil
}

// mindsphere are MindSphere's topics as gateways have them.
var mindsphere = &Scheme{
	Name: "mindsphere",
	Rules: []Rule{
		{Topic: "mdsp/{device}/timeseries"},
		{Topic: "tc/+/{device}/o/#"},
		{Topic: "tc/+/{device}/i/#", Role: RoleCommand},
	},
}
