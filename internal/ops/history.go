package ops

import (
	"sync"
	"time"
)

// history is what the looks of the last ten minutes have found of each applier, for rates and curves.
type history struct {
	mu      sync.Mutex
	samples []sample
}

// sample is what one look has found.
type sample struct {
	at    time.Time
	read  map[string]int64         // by applier: offset of the next record
	age   map[string]time.Duration // by applier: of the oldest record that waits
	taken int64                    // orders in the ERP
}

const kept = 10 * time.Minute

func (h *history) add(p *Picture) {
	if p.Errors[PartERP] != nil || p.Errors[PartKafka] != nil {
		return // a gap, not a nothing
	}
	s := sample{at: p.At, read: map[string]int64{}, age: map[string]time.Duration{}, taken: taken(p)}
	for _, stream := range p.Streams {
		s.read[stream.Applier], s.age[stream.Applier] = stream.Read, stream.Age
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.samples = append(h.samples, s)
	for len(h.samples) > 0 && p.At.Sub(h.samples[0].at) > kept {
		h.samples = h.samples[1:]
	}
}

// taken is how many orders of the shop the ERP has.
func taken(p *Picture) int64 {
	return p.Orders["imported"] + p.Orders["adopted"] + p.Orders["cancelled"]
}

// rate is how many records an applier has applied a second over the last minute.
func (h *history) rate(applier string) float64 {
	return h.over(time.Minute, func(s sample) int64 { return s.read[applier] })
}

// ordersAMinute is how many orders have come into the ERP a minute, over ten.
func (h *history) ordersAMinute() float64 {
	return 60 * h.over(kept, func(s sample) int64 { return s.taken })
}

func (h *history) over(span time.Duration, of func(sample) int64) float64 {
	h.mu.Lock()
	defer h.mu.Unlock()
	if len(h.samples) < 2 {
		return 0
	}
	last := h.samples[len(h.samples)-1]
	first := last
	for i := len(h.samples) - 1; i >= 0 && last.at.Sub(h.samples[i].at) <= span; i-- {
		first = h.samples[i]
	}
	if !last.at.After(first.at) {
		return 0
	}
	return max(0, float64(of(last)-of(first))/last.at.Sub(first.at).Seconds())
}

// ages are the seconds that an applier was behind, look by look, with the time of each.
func (h *history) ages(applier string) (at []time.Time, seconds []float64) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.samples {
		if age, known := s.age[applier]; known {
			at, seconds = append(at, s.at), append(seconds, age.Seconds())
		}
	}
	return at, seconds
}
