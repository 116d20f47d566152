package bench

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
)

// Result is what was measured of one subject.
type Result struct {
	Item    string    `json:"item"`    // what was measured: "matching"
	Subject string    `json:"subject"` // of whom: "fail2ban-regex"
	Unit    string    `json:"unit"`    // "ns CPU/line"
	Samples []float64 `json:"samples"` // in the order of the repetitions
	Median  float64   `json:"median"`
	Spread  float64   `json:"spread"` // half of the range between the quartiles, relative to the median
	// Ratio is the median of this subject divided by Against's, repetition by repetition, so that a
	// busy moment weighs on both.
	Ratio   float64 `json:"ratio,omitempty"`
	Against string  `json:"against,omitempty"`
	Target  string  `json:"target,omitempty"` // of the ratio, or of the median where there is no ratio
	Met     *bool   `json:"met,omitempty"`    // whether the target is met; null where there is none
	Skipped string  `json:"skipped,omitempty"`
}

// quantile returns the q-quantile of a sorted list, between its neighbours in proportion.
func quantile(sorted []float64, q float64) float64 {
	at := q * float64(len(sorted)-1)
	i := int(at)
	if i+1 >= len(sorted) {
		return sorted[len(sorted)-1]
	}
	return sorted[i] + (at-float64(i))*(sorted[i+1]-sorted[i])
}

func median(list []float64) float64 {
	if len(list) == 0 {
		return math.NaN()
	}
	s := slices.Sorted(slices.Values(list))
	return quantile(s, 0.5)
}

// settle computes the median and the spread.
func (r *Result) settle() {
	if len(r.Samples) == 0 {
		return
	}
	s := slices.Sorted(slices.Values(r.Samples))
	r.Median = quantile(s, 0.5)
	if r.Median != 0 {
		r.Spread = (quantile(s, 0.75) - quantile(s, 0.25)) / 2 / r.Median
	}
}

// compare sets the ratio to another subject's samples of the same repetitions.
func (r *Result) compare(to *Result) {
	var ratios []float64
	for i := range min(len(r.Samples), len(to.Samples)) {
		if to.Samples[i] > 0 {
			ratios = append(ratios, r.Samples[i]/to.Samples[i])
		}
	}
	if len(ratios) > 0 {
		r.Ratio, r.Against = median(ratios), to.Subject
	}
}

// atMost sets a target for the ratio, or for the median where nothing was compared.
func (r *Result) atMost(limit float64) {
	r.target("<=", limit, func(v float64) bool { return v <= limit })
}

// atLeast sets a target from below.
func (r *Result) atLeast(limit float64) {
	r.target(">=", limit, func(v float64) bool { return v >= limit })
}

func (r *Result) target(sign string, limit float64, ok func(float64) bool) {
	value := r.Median
	if r.Against != "" {
		value = r.Ratio
	}
	met := len(r.Samples) > 0 && ok(value)
	r.Target, r.Met = fmt.Sprintf("%s %s", sign, short(limit)), &met
}

// short writes a number with three digits that count.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a == 0:
		return "0"
	case a >= 10000:
		return fmt.Sprintf("%.0f", v)
	case a >= 100:
		return fmt.Sprintf("%.0f", v)
	case a >= 10:
		return fmt.Sprintf("%.1f", v)
	case a >= 1:
		return fmt.Sprintf("%.2f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// Table prints results as a table of Markdown.
func Table(w io.Writer, results []*Result) error {
	rows := [][]string{{"what", "subject", "median", "±", "ratio", "to", "target", ""}}
	for _, r := range results {
		if r.Skipped != "" {
			rows = append(rows, []string{r.Item, r.Subject, "skipped: " + r.Skipped, "", "", "", "", ""})
			continue
		}
		row := []string{r.Item, r.Subject, short(r.Median) + " " + r.Unit, "", "", "", r.Target, ""}
		if len(r.Samples) > 1 {
			row[3] = fmt.Sprintf("%.0f %%", 100*r.Spread)
		}
		if r.Against != "" {
			row[4], row[5] = short(r.Ratio), r.Against
		}
		if r.Met != nil {
			row[7] = "missed"
			if *r.Met {
				row[7] = "met"
			}
		}
		rows = append(rows, row)
	}
	width := make([]int, len(rows[0]))
	for _, row := range rows {
		for i, cell := range row {
			if !strings.HasPrefix(cell, "skipped") {
				width[i] = max(width[i], len([]rune(cell)))
			}
		}
	}
	var b strings.Builder
	for n, row := range rows {
		for i, cell := range row {
			fmt.Fprintf(&b, "| %s%s ", cell, strings.Repeat(" ", max(0, width[i]-len([]rune(cell)))))
		}
		b.WriteString("|\n")
		if n == 0 {
			for i := range row {
				b.WriteString("|" + strings.Repeat("-", width[i]+2))
			}
			b.WriteString("|\n")
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}
