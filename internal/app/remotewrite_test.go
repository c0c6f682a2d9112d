package app

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"pulso/internal/promtest"
)

// What a device says can be asked in PromQL here, and there.
func TestRemoteWrite(t *testing.T) {
	far := promtest.Start(t, "", "--web.enable-remote-write-receiver")
	cfg := inMemory(t)
	cfg.Data = t.TempDir()
	cfg.RemoteWrite = []RemoteWrite{{URL: far.URL + "/api/v1/write", Labels: map[string]string{"site": "here"}}}
	h := runHub(t, cfg)
	d := device(t, h, "meter")
	defer d.Disconnect(0)
	for i := range 10 {
		settle(t, d.Publish("plant/meter", 1, false, fmt.Sprintf(`{"power":%d}`, i)))
	}
	for _, side := range []struct{ name, url, match string }{
		{"here", "http://" + h.HTTPAddr(), `field="power"`}, {"there", far.URL, `field="power",site="here"`},
	} {
		promtest.Eventually(t, "all is "+side.name, func() error {
			got, err := promtest.Query(side.url, `sum_over_time(power{topic="plant/meter",`+side.match+`}[5m])`)
			if err != nil {
				return err
			}
			if len(got) != 1 || got[0].Value[1] != "45" {
				return fmt.Errorf("%v", got)
			}
			return nil
		})
	}
	if out := promtest.Tool(t, "query", "instant", "http://"+h.HTTPAddr(), "count_over_time(power[5m])"); !strings.Contains(out, "=> 10 @") {
		t.Error(out)
	}
}

func TestCheckRemoteWrite(t *testing.T) {
	t.Parallel()
	cfg := inMemory(t)
	cfg.RemoteWrite = []RemoteWrite{{URL: "http://a.example/x"}, {URL: "http://me:geheim@a.example"}, {URL: "http://a.example/y"}}
	err := cfg.Check()
	for _, want := range []string{"remote-write[1].url: a URL is no place", `remote-write[1].name: "a.example" is the name of remote-write[0] already`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if !errors.Is(err, ErrConfig) || strings.Contains(fmt.Sprint(err), "geheim") {
		t.Error(err)
	}
}
