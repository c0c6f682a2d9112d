package decode_test

import "testing"

func TestWLED(t *testing.T) {
	listen(t, []heard{
		{"wled/tv/g", "128", "[tv] g=128;"},
		{"wled/tv/c", "#FFAA00", "[tv] ;c:#FFAA00"},
		{
			"wled/tv/v",
			`<?xml version="1.0" ?><vs><ac>170</ac><cl>255</cl><cl>160</cl><ds>WLED</ds></vs>`,
			`[tv] v.vs.ac=170 v.vs.cl=160;v:<?xml version="1.0" ?><vs><ac>170</ac><cl>255</cl><cl>160</cl><ds>WLED</ds></vs>`,
		},
		{"wled/tv/api", "FX=73", "[tv, command] ;"},
		{"wled/tv", "ON", "[tv, command] ;"},
		{"wled/all/col", "#FF0000", "[all, command] ;"},
		{"wled/tv/status", "offline", "[tv, offline] ;"},
	})
}
