package decode

import "bytes"

// Envelope understands JSON that says by its keys which protocol it is of, whatever the topic: OPC UA PubSub, Azure's OPC
// Publisher, Eclipse Ditto and Unide (PPMP), Kura, MindSphere.
type Envelope struct{}

// Name implements [Format].
func (Envelope) Name() string { return "envelope" }

// An envelope is one such protocol.
type envelope struct {
	// letters are those that the payload's first key may begin with.
	letters string
	// marks are what is in every payload of it, as it is written.
	marks [][]byte
	// is looks closer; nil: the marks suffice.
	is     func(payload []byte) bool
	decode Func
}

// envelopes are by the first letter of the payload's first key, so that other payloads pay next to nothing.
var envelopes = newEnvelopes([]envelope{
	{letters: "MPWDSTRO", marks: marks(`"MessageType"`, `"ua-`), decode: decodeOPCUA},
	{letters: "NEADTVSPC", marks: marks(`"NodeId"`, `"Value"`), is: isOPCSamples, decode: decodeOPCSamples},
	{letters: "thpvresf", marks: marks(`"path"`, `/things/`), is: isDitto, decode: decodeDitto},
	{letters: "cdmpr", marks: marks(`"content-spec"`, `urn:spec://`), decode: decodePPMP},
	{letters: "SPMB", marks: marks(`"METRICS"`), is: isKuraJSON, decode: decodeKuraJSON},
	{letters: "dqvt", marks: marks(`"dataPointId"`, `"value"`), decode: decodeMindsphere},
})

func marks(texts ...string) (all [][]byte) {
	for _, text := range texts {
		all = append(all, []byte(text))
	}
	return all
}

func newEnvelopes(table []envelope) (byLetter [256][]envelope) {
	for _, e := range table {
		for i := range len(e.letters) {
			byLetter[e.letters[i]] = append(byLetter[e.letters[i]], e)
		}
	}
	return byLetter
}

// Decode implements [Format]. Broken JSON is left to [JSON], which says what is wrong.
func (Envelope) Decode(s *Scope, in *Input, out *Result) (bool, error) {
	b := in.Payload
	i := skipSpace(b, 0)
	if i < len(b) && b[i] == '[' {
		i = skipSpace(b, i+1)
	}
	if i >= len(b) || b[i] != '{' {
		return false, nil
	}
	if i = skipSpace(b, i+1); i+1 >= len(b) || b[i] != '"' {
		return false, nil
	}
	for _, e := range envelopes[b[i+1]] {
		if !e.fits(b) {
			continue
		}
		if err := s.checkJSON(in, out); err != nil {
			return false, nil //nolint:nilerr // see above
		}
		if e.is == nil || e.is(b) {
			return e.decode(s, in, out)
		}
	}
	return false, nil
}

func (e *envelope) fits(payload []byte) bool {
	for _, mark := range e.marks {
		if !bytes.Contains(payload, mark) {
			return false
		}
	}
	return true
}

// isKuraJSON reports whether a payload has the parts of Kura's.
func isKuraJSON(payload []byte) bool {
	metrics := member(payload, "METRICS")
	return len(metrics) > 0 && metrics[0] == '{'
}
