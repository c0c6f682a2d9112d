package promapi

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/prompb"
	"github.com/prometheus/prometheus/storage"
	"github.com/prometheus/prometheus/tsdb/chunkenc"

	"pulso/access/meter"
)

// maxReads bounds the queries of one remote read.
const maxReads = 16

// read answers a remote read with samples (https://prometheus.io/docs/prometheus/latest/querying/remote_read_api).
func (h *Handler) read(ctx context.Context, r *http.Request, out *encoder) error {
	request, err := readRequest(r)
	if err != nil {
		return err
	}
	if len(request.Queries) > maxReads {
		return badData("%d queries in one request, at most %d", len(request.Queries), maxReads)
	}
	response := &prompb.ReadResponse{}
	samples := h.config.MaxSamples
	defer func() { meter.Of(ctx).Read(h.config.MaxSamples - samples) }()
	for _, q := range request.Queries {
		matchers, err := readMatchers(q.Matchers)
		if err != nil {
			return err
		}
		from, to := max(q.StartTimestampMs, minTime), min(q.EndTimestampMs, maxTime)
		result := &prompb.QueryResult{}
		err = h.querier(ctx, from, to, func(querier storage.Querier) error {
			return readSeries(ctx, querier, from, to, matchers, result, &samples)
		})
		if err != nil {
			return err
		}
		response.Results = append(response.Results, result)
	}
	if size := response.Size(); size > h.config.MaxAnswer {
		return &failure{kindExecution, fmt.Errorf("the answer has %d bytes, at most %d", size, h.config.MaxAnswer)}
	}
	data, err := response.Marshal()
	if err != nil {
		return &failure{kindInternal, fmt.Errorf("encode the answer: %w", err)}
	}
	out.buf = snappy.Encode(nil, data)
	out.contentType, out.encoding = "application/x-protobuf", "snappy"
	return nil
}

func readRequest(r *http.Request) (*prompb.ReadRequest, error) {
	packed, err := io.ReadAll(r.Body)
	if err != nil {
		if errors.As(err, new(*http.MaxBytesError)) {
			return nil, &failure{kindTooLarge, fmt.Errorf("the body is larger than %d bytes", maxBody)}
		}
		return nil, badData("the body ended too early: %w", err)
	}
	if size, err := snappy.DecodedLen(packed); err != nil || size > maxBody {
		return nil, badData("the body is no snappy block of at most %d bytes", maxBody)
	}
	data, err := snappy.Decode(nil, packed)
	if err != nil {
		return nil, badData("the body is not compressed by snappy: %w", err)
	}
	var request prompb.ReadRequest
	if err := request.Unmarshal(data); err != nil {
		return nil, badData("the body is no ReadRequest: %w", err)
	}
	return &request, nil
}

func readMatchers(list []*prompb.LabelMatcher) ([]*labels.Matcher, error) {
	kinds := map[prompb.LabelMatcher_Type]labels.MatchType{
		prompb.LabelMatcher_EQ: labels.MatchEqual, prompb.LabelMatcher_NEQ: labels.MatchNotEqual,
		prompb.LabelMatcher_RE: labels.MatchRegexp, prompb.LabelMatcher_NRE: labels.MatchNotRegexp,
	}
	if len(list) == 0 || len(list) > maxMatchers {
		return nil, badData("%d matchers, it must be 1 to %d", len(list), maxMatchers)
	}
	out := make([]*labels.Matcher, 0, len(list))
	for _, m := range list {
		kind, known := kinds[m.Type]
		if !known {
			return nil, badData("matcher of unknown type %d", m.Type)
		}
		matcher, err := labels.NewMatcher(kind, m.Name, m.Value)
		if err != nil {
			return nil, badData("matcher of %.80q: %w", m.Name, err)
		}
		out = append(out, matcher)
	}
	return out, nil
}

// readSeries adds what is found to result, as long as there are samples left.
func readSeries(
	ctx context.Context, q storage.Querier, from, to int64, matchers []*labels.Matcher, result *prompb.QueryResult, samples *int,
) error {
	set := q.Select(ctx, true, &storage.SelectHints{Start: from, End: to}, matchers...)
	var it chunkenc.Iterator
	for set.Next() {
		s := set.At()
		series := &prompb.TimeSeries{}
		s.Labels().Range(func(l labels.Label) {
			series.Labels = append(series.Labels, prompb.Label{Name: l.Name, Value: l.Value})
		})
		it = s.Iterator(it)
		for it.Next() == chunkenc.ValFloat {
			if *samples--; *samples < 0 {
				return &failure{kindExecution, errors.New("the answer has too many samples")}
			}
			t, v := it.At()
			series.Samples = append(series.Samples, prompb.Sample{Timestamp: t, Value: v})
		}
		if err := errors.Join(it.Err(), ctx.Err()); err != nil {
			return err
		}
		result.Timeseries = append(result.Timeseries, series)
	}
	return set.Err()
}
