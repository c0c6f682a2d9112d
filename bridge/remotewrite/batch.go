package remotewrite

import (
	"maps"
	"slices"
	"strings"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"

	"pulso/bridge/view/series"
)

// sampleBytes is about what one sample takes in a request.
const sampleBytes = 18

// A batch gathers the samples of one request, by series.
type batch struct {
	external             [][2]string
	maxSamples, maxBytes int

	index  map[string]int // of series, by their labels' own bytes
	series []prompb.TimeSeries
	count  int
	bytes  int
	key    []byte
}

func newBatch(external map[string]string, maxSamples, maxBytes int) *batch {
	b := &batch{maxSamples: maxSamples, maxBytes: maxBytes, index: map[string]int{}}
	for _, name := range slices.Sorted(maps.Keys(external)) {
		b.external = append(b.external, [2]string{name, external[name]})
	}
	return b
}

// full reports that the batch should be sent before anything is added.
func (b *batch) full() bool { return b.count >= b.maxSamples || b.bytes >= b.maxBytes }

func (b *batch) add(s series.Sample) {
	b.key = s.Labels.Bytes(b.key[:0])
	i, known := b.index[string(b.key)]
	if !known {
		i = len(b.series)
		b.index[string(b.key)] = i
		all := b.labels(s.Labels)
		for _, l := range all {
			b.bytes += len(l.Name) + len(l.Value) + 8
		}
		b.series = append(b.series, prompb.TimeSeries{Labels: all})
	}
	b.series[i].Samples = append(b.series[i].Samples, prompb.Sample{Timestamp: s.Time, Value: s.Value})
	b.count++
	b.bytes += sampleBytes
}

// labels are a series' own and those of the target, sorted as the protocol wants them.
func (b *batch) labels(own labels.Labels) []prompb.Label {
	out := make([]prompb.Label, 0, own.Len()+len(b.external))
	own.Range(func(l labels.Label) { out = append(out, prompb.Label{Name: l.Name, Value: l.Value}) })
	for _, e := range b.external {
		if !own.Has(e[0]) && e[1] != "" {
			out = append(out, prompb.Label{Name: e[0], Value: e[1]})
		}
	}
	slices.SortFunc(out, func(a, b prompb.Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}

func (b *batch) reset() {
	clear(b.index)
	b.series, b.count, b.bytes = nil, 0, 0
}

// encode is the body of a request with some of the series. Within each, samples are put in the order of their times.
func encode(list []prompb.TimeSeries) ([]byte, error) {
	for i := range list {
		byTime := func(a, b prompb.Sample) int { return int(max(min(a.Timestamp-b.Timestamp, 1), -1)) }
		if !slices.IsSortedFunc(list[i].Samples, byTime) {
			slices.SortStableFunc(list[i].Samples, byTime)
		}
	}
	data, err := (&prompb.WriteRequest{Timeseries: list}).Marshal()
	if err != nil {
		return nil, err
	}
	return snappy.Encode(nil, data), nil
}
