package jwt

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strings"
)

// maxDepth bounds how deeply a token's objects and lists are nested.
const maxDepth = 32

// areUnique reports whether no object of a token's header and claims has a member twice: programs differ in which of them counts
// (RFC 7519, 4).
func areUnique(raw string) bool {
	for part := range strings.SplitSeq(raw[:strings.LastIndexByte(raw, '.')], ".") {
		text, err := base64.RawURLEncoding.DecodeString(part)
		if err != nil || !isUnique(json.NewDecoder(bytes.NewReader(text)), 0) {
			return false
		}
	}
	return true
}

// isUnique reads one value.
func isUnique(d *json.Decoder, depth int) bool {
	t, err := d.Token()
	open, nested := t.(json.Delim)
	if err != nil || !nested {
		return err == nil
	}
	if depth == maxDepth {
		return false
	}
	seen := map[string]struct{}{}
	for d.More() {
		if open == '{' {
			t, err := d.Token()
			name, ok := t.(string)
			if _, has := seen[name]; err != nil || !ok || has {
				return false
			}
			seen[name] = struct{}{}
		}
		if !isUnique(d, depth+1) {
			return false
		}
	}
	_, err = d.Token() // its end
	return err == nil
}
