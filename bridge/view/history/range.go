package history

import (
	"context"
	"fmt"

	"pulso/access/meter"
)

const (
	// defaultPoints and maxPoints are how many points of a series a Range has.
	defaultPoints = 1000
	maxPoints     = 20_000
	// checkEvery is after how many samples a query looks whether it is still wanted.
	checkEvery = 1 << 13
)

// A Request asks for series to be drawn.
type Request struct {
	Selection

	// Points is how many points a series should have at most, to 20,000; 0: 1,000.
	Points int
}

// A Series is what there is to draw of one series. The slices have the same length.
type Series struct {
	Info

	// Step is how many milliseconds each point stands for; 0: each is a sample as it was taken.
	Step int64
	// Times are when samples were taken, or steps begin, in milliseconds since the Unix epoch. Steps without samples are left
	// out.
	Times []int64
	// Min, Max and Last are of the samples in each step, Count is how many there are.
	Min, Max, Last []float64
	Count          []uint32
}

// Range returns series to be drawn, in the order of device, topic and field. Those that have no more samples than points are
// returned as they are, the others by steps whose number fits. Errors: ErrTooMuch, ErrClosed, the context's, or that
// the disk has failed.
func (v *View) Range(ctx context.Context, r Request) ([]Series, error) {
	if err := v.enter(); err != nil {
		return nil, err
	}
	defer v.leave()
	if r.Points <= 0 {
		r.Points = defaultPoints
	}
	r.Points = min(r.Points, maxPoints)
	v.settle() //nolint:contextcheck // What was applied is stored, whoever gives up asking.
	asked := r.Selection
	if !v.clamp(&r.Selection) {
		return nil, nil
	}
	// Steps are those of the time asked for, so that a chart's steps stay while samples come.
	first, last := r.From, r.To
	if asked.From > 0 && asked.To > asked.From {
		first, last = asked.From, asked.To
	}
	step := (last-first)/int64(max(r.Points-1, 1)) + 1
	q, err := v.querier(r.From, r.To)
	if err != nil {
		return nil, err
	}
	defer func() { _ = q.Close() }() // it has only read
	all, err := v.findSeries(ctx, q, r.Selection)
	if err != nil {
		return nil, err
	}
	out := make([]Series, 0, len(all))
	var c *cursor
	budget := v.cfg.MaxQuerySamples
	defer func() { meter.Of(ctx).Read(v.cfg.MaxQuerySamples - budget) }()
	for _, f := range all {
		c = f.cursor(c)
		s := Series{Info: f.Info}
		if err := s.read(ctx, c, r.Points, step, &budget); err != nil {
			return nil, fmt.Errorf("history of %q: %w", f.Field, err)
		}
		if len(s.Times) > 0 {
			out = append(out, s)
		}
	}
	return out, nil
}

// read takes all samples of a cursor, of which there may be as many as the budget says; where they are more than points, by
// steps.
func (s *Series) read(ctx context.Context, c *cursor, points int, step int64, budget *int) error {
	for n := 0; c.next(); n++ {
		if n%checkEvery == 0 && ctx.Err() != nil {
			return context.Cause(ctx)
		}
		if *budget--; *budget < 0 {
			return fmt.Errorf("%w: too many samples", ErrTooMuch)
		}
		if s.Step == 0 && len(s.Times) == points {
			s.fold(step)
		}
		s.add(c.time, c.value, c.value, c.value, 1)
	}
	return c.err
}

// fold turns samples into steps.
func (s *Series) fold(step int64) {
	raw := *s
	// One point more than was asked for: the first step begins before the first sample.
	n := len(raw.Times) + 1
	s.Step = step
	s.Times, s.Count = make([]int64, 0, n), make([]uint32, 0, n)
	s.Min, s.Max, s.Last = make([]float64, 0, n), make([]float64, 0, n), make([]float64, 0, n)
	for i, t := range raw.Times {
		s.add(t, raw.Last[i], raw.Last[i], raw.Last[i], 1)
	}
}

// add adds what was measured at a time.
func (s *Series) add(t int64, least, most, last float64, count uint32) {
	if s.Step > 0 {
		t -= ((t % s.Step) + s.Step) % s.Step
		if n := len(s.Times) - 1; n >= 0 && s.Times[n] == t {
			s.Min[n], s.Max[n] = min(s.Min[n], least), max(s.Max[n], most)
			s.Last[n] = last
			s.Count[n] += count
			return
		}
	}
	s.Times, s.Count = append(s.Times, t), append(s.Count, count)
	s.Min, s.Max, s.Last = append(s.Min, least), append(s.Max, most), append(s.Last, last)
}
