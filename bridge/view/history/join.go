package history

import (
	"context"
	"log/slog"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb"
	"github.com/prometheus/prometheus/tsdb/chunkenc"
	"github.com/prometheus/prometheus/tsdb/chunks"
)

// The storage begins a chunk of a series at least every two hours, and keeps chunks as they are when it makes one block of
// several. A device that speaks every ten minutes would have chunks of twelve samples for ever, with more bytes around them
// than in them: so small ones that follow each other are joined.

// newCompactor makes the storage's usual compactor, but for the joining.
func newCompactor(
	ctx context.Context, r prometheus.Registerer, l *slog.Logger, ranges []int64, pool chunkenc.Pool, o *tsdb.Options,
) (tsdb.Compactor, error) {
	usual := storage.NewCompactingChunkSeriesMerger(storage.ChainedSeriesMerge)
	return tsdb.NewLeveledCompactorWithOptions(ctx, r, l, ranges, pool, tsdb.LeveledCompactorOptions{
		MaxBlockChunkSegmentSize: o.MaxBlockChunkSegmentSize, EnableOverlappingCompaction: o.EnableOverlappingCompaction,
		PD: o.PostingsDecoderFactory,
		MergeFunc: func(series ...storage.ChunkSeries) storage.ChunkSeries {
			return joinedSeries{usual(series...)}
		},
	})
}

// joinedSamples is how many samples a chunk that was joined has at most: as many as the storage puts into one.
const joinedSamples = tsdb.DefaultSamplesPerChunk

// A joinedSeries is a series whose small chunks are joined.
type joinedSeries struct{ of storage.ChunkSeries }

// Labels implements storage.ChunkSeries.
func (s joinedSeries) Labels() labels.Labels { return s.of.Labels() }

// Iterator implements storage.ChunkSeries.
func (s joinedSeries) Iterator(reuse chunks.Iterator) chunks.Iterator {
	if j, ok := reuse.(*joiner); ok {
		*j = joiner{of: s.of.Iterator(j.of)}
		return j
	}
	return &joiner{of: s.of.Iterator(nil)}
}

// A joiner reads chunks and joins those that together have few samples.
type joiner struct {
	of  chunks.Iterator
	at  chunks.Meta
	err error
	// ahead is a chunk that was read and found not to fit.
	ahead  chunks.Meta
	has    bool
	within chunkenc.Iterator
}

// At implements chunks.Iterator.
func (j *joiner) At() chunks.Meta { return j.at }

// Err implements chunks.Iterator.
func (j *joiner) Err() error {
	if j.err != nil {
		return j.err
	}
	return j.of.Err()
}

// Next implements chunks.Iterator.
func (j *joiner) Next() bool {
	if j.err != nil || !j.read() {
		return false
	}
	j.at, j.has = j.ahead, false
	var joined *chunkenc.XORChunk
	var to chunkenc.Appender
	for j.read() && joinable(&j.at, &j.ahead) {
		if joined == nil {
			joined = chunkenc.NewXORChunk()
			if to, j.err = joined.Appender(); j.err != nil {
				return false
			}
			j.copy(to, j.at.Chunk)
		}
		j.copy(to, j.ahead.Chunk)
		j.at, j.has = chunks.Meta{Chunk: joined, MinTime: j.at.MinTime, MaxTime: j.ahead.MaxTime}, false
	}
	return j.Err() == nil
}

// read has a chunk ahead, if there is another.
func (j *joiner) read() bool {
	if !j.has && j.of.Next() {
		j.ahead, j.has = j.of.At(), true
	}
	return j.has
}

// joinable reports whether two chunks make one.
func joinable(a, b *chunks.Meta) bool {
	return a.Chunk != nil && b.Chunk != nil && a.Chunk.Encoding() == chunkenc.EncXOR && b.Chunk.Encoding() == chunkenc.EncXOR &&
		a.MaxTime < b.MinTime && a.Chunk.NumSamples()+b.Chunk.NumSamples() <= joinedSamples
}

func (j *joiner) copy(to chunkenc.Appender, from chunkenc.Chunk) {
	j.within = from.Iterator(j.within)
	for j.within.Next() != chunkenc.ValNone {
		t, value := j.within.At()
		to.Append(0, t, value)
	}
	if j.err == nil {
		j.err = j.within.Err()
	}
}
