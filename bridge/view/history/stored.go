package history

import (
	"context"
	"errors"
	"fmt"
	"math"

	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// What is stored is how far the storage is ahead of the state, at the time when the log begins to be read. Samples of one series
// come in the log's order, so whatever is not newer than the newest in the storage is in it.
type stored struct {
	// from is the oldest time in milliseconds for which this holds: from there on, the storage has samples in its order.
	from int64
	// newest are times by series; nil once the end of the log was reached.
	newest map[storedKey]int64
}

type storedKey struct {
	seriesKey

	device string
}

// survey finds out what is stored.
func (v *View) survey() (out stored, err error) {
	out.newest = make(map[storedKey]int64)
	head := v.db.Head()
	from, some := head.AppendableMinValidTime()
	if out.from = from; !some {
		return out, nil
	}
	to := head.MaxTime()
	q, err := tsdb.NewBlockChunkQuerier(tsdb.NewRangeHead(head, from, to), from, to)
	if err != nil {
		return out, fmt.Errorf("read what is stored: %w", err)
	}
	defer func() { err = errors.Join(err, q.Close()) }()
	set := q.Select(context.Background(), false, &storage.SelectHints{Start: from, End: to, DisableTrimming: true},
		labels.MustNewMatcher(labels.MatchNotEqual, labelField, ""))
	var each chunks.Iterator
	var within chunkenc.Iterator
	for set.Next() {
		series := set.At()
		l := series.Labels()
		key := storedKey{seriesKey{l.Get(labelTopic), l.Get(labelField)}, l.Get(labelDevice)}
		each = series.Iterator(each)
		var last chunkenc.Chunk
		for each.Next() {
			last = each.At().Chunk
		}
		if err := each.Err(); err != nil {
			return out, fmt.Errorf("read what is stored: %w", err)
		}
		if last == nil {
			continue
		}
		newest := int64(math.MinInt64)
		for within = last.Iterator(within); within.Next() != chunkenc.ValNone; {
			newest = within.AtT()
		}
		if before, known := out.newest[key]; !known || newest > before {
			out.newest[key] = newest
		}
	}
	if err := set.Err(); err != nil {
		return out, fmt.Errorf("read what is stored: %w", err)
	}
	return out, nil
}

// until is the time of the newest sample of a series in the storage.
func (s *stored) until(x *series) int64 {
	if t, known := s.newest[storedKey{seriesKey{valid(x.key.topic), valid(x.key.field)}, valid(x.device.id)}]; known {
		return t
	}
	return math.MinInt64
}

// has reports whether a sample that is in the order of its series is in the storage already.
func (s *stored) has(x *series, at int64) bool {
	return at <= x.stored && at >= s.from
}
