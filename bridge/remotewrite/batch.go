package remotewrite

import (
	"cmp"
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

// A batch gathers the samples of one request in the log's order.
type batch struct {
	external             [][2]string
	maxSamples, maxBytes int

	index   map[string]int // of labels, by their series' own bytes
	labels  [][]prompb.Label
	entries []entry
	bytes   int
	key     []byte
}

// An entry is one sample and the index of its series' labels.
type entry struct {
	series int
	sample prompb.Sample
}

func newBatch(external map[string]string, maxSamples, maxBytes int) *batch {
	b := &batch{maxSamples: maxSamples, maxBytes: maxBytes, index: map[string]int{}}
	for _, name := range slices.Sorted(maps.Keys(external)) {
		b.external = append(b.external, [2]string{name, external[name]})
	}
	return b
}

// full reports that the batch should be sent before anything is added.
func (b *batch) full() bool { return len(b.entries) >= b.maxSamples || b.bytes >= b.maxBytes }

func (b *batch) add(s series.Sample) {
	b.key = s.Labels.Bytes(b.key[:0])
	i, known := b.index[string(b.key)]
	if !known {
		i = len(b.labels)
		b.index[string(b.key)] = i
		all := b.merge(s.Labels)
		for _, l := range all {
			b.bytes += len(l.Name) + len(l.Value) + 8
		}
		b.labels = append(b.labels, all)
	}
	b.entries = append(b.entries, entry{i, prompb.Sample{Timestamp: s.Time, Value: s.Value}})
	b.bytes += sampleBytes
}

// merge returns a series' own labels and those of the target, sorted as the protocol wants them.
func (b *batch) merge(own labels.Labels) []prompb.Label {
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
	b.labels, b.entries, b.bytes = nil, b.entries[:0], 0
}

// encode is the body of a request with some of the entries: by series, in the order of their times.
func (b *batch) encode(entries []entry) ([]byte, error) {
	place := map[int]int{}
	var list []prompb.TimeSeries
	for _, e := range entries {
		i, known := place[e.series]
		if !known {
			i = len(list)
			place[e.series] = i
			list = append(list, prompb.TimeSeries{Labels: b.labels[e.series]})
		}
		list[i].Samples = append(list[i].Samples, e.sample)
	}
	for i := range list {
		slices.SortStableFunc(list[i].Samples, func(a, b prompb.Sample) int { return cmp.Compare(a.Timestamp, b.Timestamp) })
	}
	data, err := (&prompb.WriteRequest{Timeseries: list}).Marshal()
	if err != nil {
		return nil, err
	}
	return snappy.Encode(nil, data), nil
}
