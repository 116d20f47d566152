package kernel

import (
	"math"
	"strconv"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// TestSustainedBans: 20,000 new bans a second through the whole daemon, all of them in the kernel,
// with the time from a line's arrival to its ban read back from the kernel.
func TestSustainedBans(t *testing.T) {
	const rate, median = 20_000, 5 * time.Millisecond
	lasts := time.Duration(rig.Size(1, 2, 10)) * time.Second
	d := newDaemon(t, killConfig)
	d.start()
	conn := d.dial()
	total := int(rate * lasts.Seconds())
	ranBefore, waitedBefore := d.times()
	start := time.Now()
	for sent := 0; sent < total; {
		due := min(int(rate*time.Since(start).Seconds())+1, total)
		var b []byte
		now := time.Now().Format(time.Stamp)
		for ; sent < due; sent++ {
			b = appendFailure(b, now, numbered(sent))
		}
		if _, err := conn.Write(b); err != nil {
			t.Fatal(err)
		}
		time.Sleep(time.Millisecond) // the pace of the sender
	}
	took := time.Since(start)
	rig.Eventually(t, 2*time.Minute, "every ban was read back", func() bool { return d.toKernel()["count"] == float64(total) })
	settled := time.Since(start)
	ran, waited := d.times()
	ran, waited = ran-ranBefore, waited-waitedBefore
	h := d.toKernel()
	t.Logf("%d bans sent in %s, all in the kernel after %s; from line to kernel: half within %g ms, 99 of 100 within %g ms",
		total, took.Round(time.Millisecond), settled.Round(time.Millisecond), 1000*quantile(h, 0.5), 1000*quantile(h, 0.99))
	t.Logf("the daemon ran for %s, %s a ban, and waited %s for a processor", ran, ran/time.Duration(total), waited)
	if each, bar := ran/time.Duration(total), 2*time.Second/rate; each > 2*bar {
		t.Errorf("%s of processor time a ban; two processors have %s", each, bar)
	}
	listed := d.set("ban4")
	var unlisted []string
	for i := range total {
		if _, ok := listed[numbered(i)]; !ok {
			unlisted = append(unlisted, numbered(i).String())
		}
	}
	if len(unlisted) > 0 {
		// The kernel rehashes a set that grew beside whoever lists it, who then misses elements.
		t.Logf("nft lists %d elements; it is asked for the other %d", len(listed), len(unlisted))
		d.checkHeld(unlisted)
	}
	if len(listed)+len(unlisted) != total {
		t.Errorf("nft knows %d elements, want %d", len(listed)+len(unlisted), total)
	}
	if waited > ran/4 || took > lasts*11/10 {
		t.Log("this machine is busy with others: the times say nothing")
		return
	}
	if got := quantile(h, 0.5); got > (5 * median).Seconds() {
		t.Errorf("the median is within %g ms, bar %s", 1000*got, median)
	}
}

// toKernel reads the histogram of the times from line to kernel: counts by upper limit in seconds,
// and "count".
func (d *daemon) toKernel() map[string]float64 {
	d.T.Helper()
	all := make(map[string]float64)
	for name, n := range d.Metrics() {
		if name, ok := strings.CutPrefix(name, "stockade_line_to_ban_seconds_"); ok {
			if le, ok := strings.CutPrefix(name, `bucket{le="`); ok {
				name = strings.TrimSuffix(le, `"}`)
			}
			all[name] = float64(n)
		}
	}
	return all
}

// quantile is the upper limit, in seconds, of the bucket that a part of the times is within.
func quantile(h map[string]float64, part float64) float64 {
	best := math.Inf(1)
	for le, n := range h {
		if limit, err := strconv.ParseFloat(le, 64); err == nil && n >= part*h["count"] {
			best = min(best, limit)
		}
	}
	return best
}
