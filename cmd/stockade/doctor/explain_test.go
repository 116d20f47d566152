package doctor

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"stockade/cmd/stockade/control"
)

// explain asks a running daemon until want says yes.
func (h *host) explain(addr, what string, want func(control.Explain) bool) control.Explain {
	h.t.Helper()
	for begin := time.Now(); ; time.Sleep(20 * time.Millisecond) {
		target, err := control.ParseTarget(addr)
		if err != nil {
			h.t.Fatal(err)
		}
		e, err := h.client().Explain(h.t.Context(), target)
		if err != nil {
			h.t.Fatal(err)
		}
		if want(e) {
			return e
		}
		if time.Since(begin) > 20*time.Second {
			h.t.Fatalf("explain %s: %s: %+v", addr, what, e)
		}
	}
}

// TestAnswersOfARunningDaemon walks explain, doctor and firewall beside a kernel that has tables of
// others, too.
func TestAnswersOfARunningDaemon(t *testing.T) {
	if os.Getenv(inNamespace) == "" {
		t.Setenv(binaryOf, build(t))
		runInNamespace(t)
		return
	}
	h := startHost(t)
	h.sh("nft", "-f", "testdata/foreign.nft")
	h.sh("nft", "delete", "table", "ip", "filter") // its policy is to drop
	defer h.heartbeat(h.source("127.0.0.3"))()     // else it is silent, which doctor finds first
	web := h.source("127.0.0.1")
	web.line("bad from 192.0.2.77")
	fmt.Fprintf(web.w, "<38>%s db trial[7]: bad from 192.0.2.8\n", time.Now().Format(time.Stamp))
	_ = web.w.Flush()

	e := h.explain("192.0.2.77", "banned and in the kernel", func(e control.Explain) bool {
		return e.Banned && len(e.Kernel) == 1 && e.Kernel[0].Present && e.Bans[0].Enforced
	})
	if len(e.Evidence) != 1 || e.Evidence[0].Expr != `^bad from <HOST>$` || e.Evidence[0].Filter != "inline" || e.Evidence[0].Name != "" || !strings.Contains(e.Evidence[0].Raw, "bad from 192.0.2.77") ||
		e.Evidence[0].Source != "web" || e.Evidence[0].Trust != "address" {
		t.Errorf("evidence: %+v", e.Evidence)
	}
	if !strings.HasPrefix(e.Verdict, "banned in jail trial until ") || e.Witnessed == nil || *e.Witnessed || len(e.Foreign) != 0 {
		t.Errorf("%+v", e)
	}
	h.explain("192.0.2.8", "refused", func(e control.Explain) bool {
		return !e.Banned && len(e.Refused) == 1 && e.Refused[0].Reason == "hostname_not_granted" && e.Refused[0].Source == "web" &&
			strings.Contains(e.Refused[0].Sample, "192.0.2.8") && e.Refused[0].Remedy != ""
	})
	h.explain("192.0.2.9", "stopped by another table", func(e control.Explain) bool {
		return !e.Banned && strings.Contains(e.Verdict, "not ours: table inet f2b-table, chain f2b-chain (set addr-set-sshd)")
	})
	h.explain("127.0.0.1", "protected", func(e control.Explain) bool {
		return !e.Banned && strings.Contains(string(e.NeverBan), "127.0.0.1/32")
	})
	h.must("unban", "192.0.2.77")
	h.explain("192.0.2.77", "an earlier ban with its line", func(e control.Explain) bool {
		return !e.Banned && len(e.Earlier) == 1 && e.Earlier[0].Count == 1 && len(e.Earlier[0].Evidence) == 1
	})

	out, code := h.run("doctor", "--json")
	var d control.Diagnosis
	if err := json.Unmarshal([]byte(out), &d); err != nil || code != 0 || !d.OK {
		t.Errorf("doctor: %v, exit code %d: %s", err, code, out)
	}
	if out, code := h.run("firewall", "verify"); code != 0 || !strings.Contains(out, "is as it must be") {
		t.Errorf("verify: exit code %d: %s", code, out)
	}
	out, code = h.run("firewall", "show")
	if code != 0 || !strings.Contains(out, "table inet stockade {") || !strings.Contains(out, "chain judge") {
		t.Errorf("show: exit code %d: %s", code, out)
	}
	if err := os.WriteFile(h.dir+"/shown.nft", []byte(out), 0o600); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.CommandContext(t.Context(), "unshare", "-n", "nft", "-f", h.dir+"/shown.nft").CombinedOutput(); err != nil {
		t.Errorf("what show prints is no input of nft: %v\n%s", err, out)
	}
	other := h.takeTable()
	if out, code := h.run("firewall", "verify", "--json"); code != 1 || !strings.Contains(out, `"ok":false`) {
		t.Errorf("verify of a table that is not ours: exit code %d: %s", code, out)
	}
	if _, code := h.run("firewall", "remove"); code != 1 {
		t.Errorf("remove of another's table: exit code %d", code)
	}
	h.doctorFinds("hook")
	other.Close()
}

// doctorFinds waits until the first broken link is the named one.
func (h *host) doctorFinds(link string) {
	h.t.Helper()
	for begin := time.Now(); ; time.Sleep(50 * time.Millisecond) {
		out, code := h.run("doctor", "--json")
		var d control.Diagnosis
		if err := json.Unmarshal([]byte(out), &d); err != nil {
			h.t.Fatalf("doctor: %v: %s", err, out)
		}
		if code == 1 && d.Broken != nil && d.Broken.Link == link && d.Broken.Remedy != "" {
			return
		}
		if time.Since(begin) > turnLimit {
			h.t.Fatalf("doctor does not find the %s: exit code %d: %s", link, code, out)
		}
	}
}
