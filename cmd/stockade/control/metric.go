package control

// Kind is the type of a metric.
type Kind uint8

// The kinds.
const (
	Counter Kind = iota
	Gauge
	Histogram
)

// Metric is one sample of one series. Samples of one name must agree in Help, Kind and label
// names. Names follow Prometheus: stockade_messages_total; durations are in seconds. No label
// may hold anything that an attacker chooses.
type Metric struct {
	Name   string
	Help   string
	Kind   Kind
	Labels []Label

	Value float64 // of a Counter or Gauge

	// Of a Histogram: Count observations with the given Sum, and for each upper bound the
	// number of observations not above it (cumulative). The +Inf bucket is Count.
	Count   uint64
	Sum     float64
	Buckets map[float64]uint64
}

// Label is one label of a metric.
type Label struct{ Name, Value string }
