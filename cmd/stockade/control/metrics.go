package control

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const (
	scrapeTimeout = 10 * time.Second
	maxScrapes    = 4 // at one time
	// maxSeries bounds what one snapshot may export.
	maxSeries = 20000
)

// metricsHandler serves the daemon's metrics, and with ?compat=fail2ban also the f2b_ names
// that dashboards of fail2ban exporters ask for.
func metricsHandler(s Services, log *slog.Logger) http.Handler {
	native := prometheus.NewRegistry()
	native.MustRegister(snapshot{s.Metrics.Metrics}, snapshot{buildInfo},
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	compat := prometheus.NewRegistry()
	compat.MustRegister(snapshot{func() []Metric { return fail2banMetrics(s) }})
	opts := promhttp.HandlerOpts{
		ErrorLog:            slog.NewLogLogger(log.Handler(), slog.LevelWarn),
		ErrorHandling:       promhttp.ContinueOnError,
		MaxRequestsInFlight: maxScrapes,
		Timeout:             scrapeTimeout,
	}
	alone := promhttp.HandlerFor(native, opts)
	both := promhttp.HandlerFor(prometheus.Gatherers{native, compat}, opts)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("compat") == "fail2ban" {
			both.ServeHTTP(w, r)
			return
		}
		alone.ServeHTTP(w, r)
	})
}

// snapshot turns what take returns into samples. It describes nothing in advance, because the
// series follow the configuration.
type snapshot struct{ take func() []Metric }

// Describe sends nothing: the collector is unchecked.
func (snapshot) Describe(chan<- *prometheus.Desc) {}

// Collect sends one sample for each metric of the snapshot.
func (s snapshot) Collect(ch chan<- prometheus.Metric) {
	all := s.take()
	if len(all) > maxSeries {
		ch <- prometheus.NewInvalidMetric(prometheus.NewInvalidDesc(fmt.Errorf("%d series", len(all))),
			fmt.Errorf("%d series, at most %d", len(all), maxSeries))
		all = all[:maxSeries]
	}
	for i := range all {
		ch <- sample(&all[i])
	}
}

func sample(m *Metric) prometheus.Metric {
	names := make([]string, len(m.Labels))
	values := make([]string, len(m.Labels))
	for i, l := range m.Labels {
		names[i], values[i] = l.Name, l.Value
	}
	desc := prometheus.NewDesc(m.Name, m.Help, names, nil)
	var p prometheus.Metric
	var err error
	switch m.Kind {
	case Counter:
		p, err = prometheus.NewConstMetric(desc, prometheus.CounterValue, m.Value, values...)
	case Gauge:
		p, err = prometheus.NewConstMetric(desc, prometheus.GaugeValue, m.Value, values...)
	case Histogram:
		p, err = prometheus.NewConstHistogram(desc, m.Count, m.Sum, m.Buckets, values...)
	default:
		err = fmt.Errorf("metric %q: unknown kind %d", m.Name, m.Kind)
	}
	if err != nil {
		return prometheus.NewInvalidMetric(desc, err)
	}
	return p
}

func buildInfo() []Metric {
	v := BuildVersion()
	return []Metric{{
		Name: "stockade_build_info", Help: "The running build; always 1.", Kind: Gauge, Value: 1,
		Labels: []Label{{"version", v.Version}, {"revision", string(v.Revision)}, {"go", v.Go}},
	}}
}

// fail2banMetrics gives the daemon's numbers the names that fail2ban exporters use. Their totals
// are gauges in some exporters; here they are counters.
func fail2banMetrics(s Services) []Metric {
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	st, err := s.Status.Status(ctx)
	jails, jailsErr := s.Jails.Jails(ctx)
	if err != nil || jailsErr != nil {
		return []Metric{{Name: "f2b_up", Help: "Whether the daemon answers.", Kind: Gauge}}
	}
	out := []Metric{
		{Name: "f2b_up", Help: "Whether the daemon answers.", Kind: Gauge, Value: 1},
		{Name: "f2b_jail_count", Help: "Active jails.", Kind: Gauge, Value: float64(len(st.Jails))},
	}
	add := func(name, help string, kind Kind, jail string, v int64) {
		out = append(out, Metric{Name: name, Help: help, Kind: kind, Labels: []Label{{"jail", jail}}, Value: float64(v)})
	}
	for _, j := range st.Jails {
		add("f2b_jail_banned_current", "Addresses banned now.", Gauge, j.Name, j.BannedCurrent)
		add("f2b_jail_banned_total", "Bans since the counters began.", Counter, j.Name, j.BannedTotal)
		add("f2b_jail_failed_current", "Addresses with recent failures.", Gauge, j.Name, j.FailedCurrent)
		add("f2b_jail_failed_total", "Failures since the counters began.", Counter, j.Name, j.FailedTotal)
	}
	for _, j := range jails {
		add("f2b_config_jail_ban_time", "Length of a first ban in seconds; -1 is permanent.", Gauge, j.Name, int64(j.BanTime))
		add("f2b_config_jail_find_time", "Length of the window in seconds.", Gauge, j.Name, int64(j.FindTime))
		add("f2b_config_jail_max_retries", "Failures inside the window that end in a ban.", Gauge, j.Name, j.MaxRetry)
	}
	return out
}
