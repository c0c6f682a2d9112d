package decode_test

import "testing"

func TestCSV(t *testing.T) {
	for _, test := range []struct{ topic, payload, want string }{
		{"plant/meter/values", "81,0,-2.5,nan,,7", "values.0=81 values.1=0 values.2=-2.5 values.5=7;"},
		{"plant/meter/values", "21,5;48;1013,2\r\n", "values.0=21.5 values.1=48 values.2=1013.2;"},
		{"plant/meter/values", "temp_c,hum\n21.5,48\n22.5,49\n", "temp_c=22.5 °C hum=49;"},
		{"plant/meter/xyz", "0.1,-0.2,9.8", "xyz.0=0.1 xyz.1=-0.2 xyz.2=9.8;"},
		// A decimal comma, thousands, text, a colour, a version, an address, a time: no values.
		{"haus/keller/temperatur", "21,5", "temperatur=21.5;"},
		{"plant/meter/total", "1,234,567", "total=1.234567e+06;"},
		{"plant/meter/note", "1,2,three", ";note:1,2,three"},
		{"haus/lampe/color", "255,128,0", ";color:255,128,0"},
		{"plant/meter/time", "10:20:30,5", ";time:10:20:30,5"},
		{"plant/meter/list", "1\n2\n3", ";list:1\n2\n3"},
	} {
		r := decodeOne(t, test.topic, test.payload)
		if got := show(&r); got != test.want {
			t.Errorf("%s %q: %s, want %s", test.topic, test.payload, got, test.want)
		}
	}
}
