package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

var (
	metricName = regexp.MustCompile(`\b(?:stockade|process|go)_[a-z0-9_]+`)
	selector   = regexp.MustCompile(`\b(stockade_[a-z0-9_]+)\{([^}]*)\}`)
	matcher    = regexp.MustCompile(`([a-z_]+)\s*(?:=~|!~|!=|=)`)
	grouping   = regexp.MustCompile(`by \(([a-z_, ]+)\)`)
)

// TestExamplesOfMetrics holds the dashboard and the alert rules against a daemon that has had a
// little of everything.
func TestExamplesOfMetrics(t *testing.T) {
	queries := append(dashboard(t), alerts(t)...)
	h := observer(t)
	web := h.source("127.0.0.1")
	web.line("bad from 198.51.100.1")
	fmt.Fprintf(web.w, "<38>%s db trial[7]: outside of its grants\n", time.Now().Format(time.Stamp))
	_ = web.w.Flush()
	var served map[string][]string
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		served = labels(h.metrics())
		if served["stockade_source_refused_total"] != nil && served["stockade_source_delay_seconds"] != nil {
			break
		}
		if time.Since(begin) > 60*time.Second {
			t.Fatal("the lines did not arrive")
		}
	}
	for name := range served {
		if strings.Contains(h.metrics(), "198.51.100") {
			t.Fatalf("a label of %s carries an address", name)
		}
	}
	for _, q := range queries {
		if !metricName.MatchString(q.expr) && !strings.HasPrefix(q.expr, "up{") {
			t.Errorf("%s: no metric in %q", q.of, q.expr)
		}
		for _, name := range metricName.FindAllString(q.expr, -1) {
			if served[name] == nil {
				t.Errorf("%s: the daemon serves no %s", q.of, name)
			}
		}
		for _, m := range selector.FindAllStringSubmatch(q.expr, -1) {
			for _, label := range matcher.FindAllStringSubmatch(m[2], -1) {
				if label[1] != "instance" && !slices.Contains(served[m[1]], label[1]) {
					t.Errorf("%s: %s has no label %s", q.of, m[1], label[1])
				}
			}
		}
		for _, g := range grouping.FindAllStringSubmatch(q.expr, -1) {
			for label := range strings.SplitSeq(g[1], ", ") {
				known := label == "instance" || label == "le"
				for _, name := range metricName.FindAllString(q.expr, -1) {
					known = known || slices.Contains(served[name], label)
				}
				if !known {
					t.Errorf("%s: nothing has the label %s", q.of, label)
				}
			}
		}
	}
	t.Logf("%d queries, %d names served", len(queries), len(served))
}

// query is one expression and where it stands.
type query struct{ of, expr string }

func dashboard(t *testing.T) (list []query) {
	t.Helper()
	text, err := os.ReadFile("../../../examples/grafana/stockade.json")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Panels []struct {
			ID      int
			Title   string
			Targets []struct{ Expr string }
		}
		Templating struct {
			List []struct {
				Name  string
				Type  string
				Query any
			}
		}
	}
	if err := json.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	ids := make(map[int]bool)
	for _, p := range d.Panels {
		if ids[p.ID] || p.Title == "" || len(p.Targets) == 0 {
			t.Errorf("panel %d %q is not whole", p.ID, p.Title)
		}
		ids[p.ID] = true
		for _, x := range p.Targets {
			list = append(list, query{"panel " + p.Title, x.Expr})
		}
	}
	for _, v := range d.Templating.List {
		if q, ok := v.Query.(map[string]any); ok {
			list = append(list, query{"variable " + v.Name, fmt.Sprint(q["query"])})
		}
	}
	return list
}

func alerts(t *testing.T) (list []query) {
	t.Helper()
	text, err := os.ReadFile("../../../examples/grafana/prometheus-alerts.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var d struct {
		Groups []struct {
			Name  string
			Rules []struct {
				Alert, Expr, For string
				Labels           map[string]string
				Annotations      map[string]string
			}
		}
	}
	if err := yaml.UnmarshalWithOptions(text, &d, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	for _, g := range d.Groups {
		for _, r := range g.Rules {
			if r.Alert == "" || r.Labels["severity"] == "" || r.Annotations["summary"] == "" {
				t.Errorf("alert %q is not whole", r.Alert)
			}
			list = append(list, query{"alert " + r.Alert, r.Expr})
		}
	}
	return list
}

// labels are the names of all series with their labels. A metric without labels has one empty label.
func labels(text string) map[string][]string {
	all := make(map[string][]string)
	for line := range strings.Lines(text) {
		if strings.HasPrefix(line, "#") {
			continue
		}
		name, rest, labelled := strings.Cut(strings.Fields(line)[0], "{")
		found := []string{""}
		if labelled {
			for _, m := range matcher.FindAllStringSubmatch(strings.TrimSuffix(rest, "}"), -1) {
				found = append(found, m[1])
			}
		}
		for _, l := range found {
			if !slices.Contains(all[name], l) {
				all[name] = append(all[name], l)
			}
		}
	}
	return all
}
