package decode

// Schemes returns the schemes that a Decoder knows by default, in the order in which they are asked.
func Schemes() []*Scheme {
	return []*Scheme{}
}
