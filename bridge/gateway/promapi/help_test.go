package promapi_test

import (
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
)

// A gate is a store that nobody reads from before it is open.
type gate struct {
	*tsdb.DB

	entered, open chan struct{}
}

func (g *gate) Querier(from, to int64) (storage.Querier, error) {
	g.entered <- struct{}{}
	<-g.open
	return g.DB.Querier(from, to)
}

func gathered(tb testing.TB, g prometheus.Gatherer) string {
	tb.Helper()
	families, err := g.Gather()
	if err != nil {
		tb.Fatal(err)
	}
	var b strings.Builder
	for _, f := range families {
		if _, err := expfmt.MetricFamilyToText(&b, f); err != nil {
			tb.Fatal(err)
		}
	}
	return b.String()
}
