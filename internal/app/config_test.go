package app

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
)

func TestDefaultsAreGood(t *testing.T) {
	cfg := inMemory(t)
	if err := cfg.Check(); err != nil {
		t.Error(err)
	}
}

// Whatever has bounds is refused beyond them, by its name.
func TestBounds(t *testing.T) {
	cfg := inMemory(t)
	bounds := cfg.bounds()
	fields := reflect.TypeFor[Config]()
	for i := range bounds {
		for _, value := range []int64{bounds[i].from - 1, bounds[i].to + 1} {
			bad := inMemory(t)
			set := false
			for f := range fields.NumField() {
				if fields.Field(f).Tag.Get("name") == bounds[i].key {
					reflect.ValueOf(&bad).Elem().Field(f).SetInt(value)
					set = true
				}
			}
			if !set {
				t.Fatalf("%s is no key", bounds[i].key)
			}
			k := new(KeyError)
			err := bad.Check()
			if !errors.Is(err, ErrConfig) || !errors.As(err, &k) || k.Key != bounds[i].key {
				t.Errorf("%s of %d: %v", bounds[i].key, value, err)
			}
		}
	}
}

// operations is the text of docs/OPERATIONS.md.
func operations(t *testing.T) string {
	t.Helper()
	text, err := os.ReadFile("../../docs/OPERATIONS.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// The guide has a row with the right default for each key that is a limit, and no row for one that is none.
func TestLimitsAreDocumented(t *testing.T) {
	rows := map[string]string{}
	for _, m := range regexp.MustCompile("(?m)^\\| `([a-z-]+)` \\| ([^|]+) \\|[^|\n]+\\|[^|\n]+\\|[^|\n]+\\|$").FindAllStringSubmatch(operations(t), -1) {
		rows[m[1]] = strings.Trim(strings.TrimSpace(m[2]), "`")
	}
	fields := reflect.TypeFor[Config]()
	for field := range fields.Fields() {
		tag := field.Tag
		key := tag.Get("name")
		if tag.Get("group") == "limits" && rows[key] != tag.Get("default") {
			t.Errorf("docs/OPERATIONS.md: %s is %q, but its default is %q", key, rows[key], tag.Get("default"))
		}
		delete(rows, key)
	}
	for key := range rows {
		t.Errorf("docs/OPERATIONS.md: nobody knows %s", key)
	}
}

// Few open files leave fewer connections, and not fewer files for the log.
func TestGuards(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := inMemory(t)
	cfg.MaxConnections = 1 << 24
	g, err := newGuards(&cfg, slog.New(slog.DiscardHandler), registry)
	if err != nil {
		t.Fatal(err)
	}
	if bytes, source := g.memory.Limit(); bytes <= 0 || source == "" {
		t.Errorf("%d bytes of memory by %q", bytes, source)
	}
	if g.mqttConnections < 1 || g.mqttConnections > cfg.MaxConnections {
		t.Errorf("%d connections", g.mqttConnections)
	}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	if names := fmt.Sprint(families); !strings.Contains(names, "pulso_limit_memory_level") || !strings.Contains(names, "pulso_limit_refused_total") {
		t.Errorf("metrics: %.500s", names)
	}
}

// A running hub has each metric that the guide names.
func TestMetricsInTheGuideExist(t *testing.T) {
	cfg := inMemory(t)
	cfg.Data = t.TempDir()
	t.Setenv("TEST_SECRET", "x")
	cfg.OIDCIssuer, cfg.OIDCClient, cfg.OIDCSecretEnv = "https://id.example.org", "pulso", "TEST_SECRET" // nobody asks it before a login
	h := runHub(t, cfg)
	seen := map[string]bool{}
	for _, name := range regexp.MustCompile(`pulso_[a-z_]+`).FindAllString(operations(t), -1) {
		if seen[name] {
			continue
		}
		seen[name] = true
		// A name that is taken cannot be had with another help text; vectors without values would not be seen in /metrics.
		if h.registry.Register(prometheus.NewGauge(prometheus.GaugeOpts{Name: name, Help: "of the test"})) == nil {
			t.Errorf("docs/OPERATIONS.md names %s, which no hub has", name)
		}
	}
	if len(seen) < 30 {
		t.Errorf("only %d metrics were found in the guide", len(seen))
	}
}
