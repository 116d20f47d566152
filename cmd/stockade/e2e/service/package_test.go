package service

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"stockade/cmd/stockade/e2e/rig"
)

// buildPackage runs .ci/deb and returns the path of the package.
func buildPackage(t *testing.T, version, out string, env ...string) string {
	t.Helper()
	cmd := exec.Command("../../../../.ci/deb", version, out)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795478400")
	cmd.Env = append(cmd.Env, env...)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf(".ci/deb: %v\n%s", err, text)
	}
	made, err := filepath.Glob(filepath.Join(out, "stockade_"+version+"_*.deb"))
	if err != nil || len(made) != 1 {
		t.Fatalf("packages %v, %v", made, err)
	}
	return made[0]
}

// quickPackage packs the program that the tests have built anyway.
func quickPackage(t *testing.T, version, out string) string {
	t.Helper()
	return buildPackage(t, version, out, "DEB_PROGRAM="+rig.Program(t, "stockade"), "DEB_COMPRESSION=none")
}

// serve starts the daemon as the unit does: its user, its groups, its capabilities, its folders.
func (r *root) serve() *rig.Process {
	r.t.Helper()
	for _, dir := range []string{"/run/stockade", "/var/lib/stockade"} {
		r.make(dir)
		rig.Sh(r.t, "", "chown", r.owner(), filepath.Join(r.dir, dir))
	}
	p := rig.Start(r.t, r.command("setpriv", "--reuid=stockade", "--regid=stockade", "--groups=adm,systemd-journal", "--no-new-privs",
		"--inh-caps=-all,+net_admin,+net_bind_service", "--ambient-caps=-all,+net_admin,+net_bind_service",
		"--bounding-set=-all,+net_admin,+net_bind_service", "stockade", "serve"))
	rig.Eventually(r.t, 60*time.Second, "the daemon of the package serves", func() bool {
		if p.Ended() {
			r.t.Fatalf("it ended\n%s", p.Log)
		}
		return strings.Contains(p.Log.String(), `"serving"`)
	})
	return p
}

// owner is the uid and gid of stockade in the root.
func (r *root) owner() string {
	r.t.Helper()
	f := strings.Split(r.must("getent", "passwd", "stockade"), ":")
	if len(f) < 4 || f[2] == "0" {
		r.t.Fatalf("the user stockade: %q", f)
	}
	return f[2] + ":" + f[3]
}

// bans are the addresses that the daemon says it enforces.
func (r *root) bans() (list []string) {
	r.t.Helper()
	var bans []rig.Ban
	out := r.must("stockade", "bans", "--json")
	if err := json.Unmarshal([]byte(out), &bans); err != nil {
		r.t.Fatalf("%v: %s", err, out)
	}
	for _, b := range bans {
		if b.Enforced {
			list = append(list, b.Address)
		}
	}
	return list
}

// TestPackageLife installs, starts, bans, upgrades, removes and purges, in a root of this host's
// programs; with -long in one by debootstrap as well.
func TestPackageLife(t *testing.T) {
	rig.RequirePrograms(t, "dpkg-deb", "setpriv", "unshare")
	out := rig.OpenDir(t)
	first, second := quickPackage(t, "0.1.0", out), quickPackage(t, "0.2.0", out)
	t.Run("own root", func(t *testing.T) { packageLife(t, newRoot(t), first, second) })
	if rig.Long() {
		t.Run("debootstrap", func(t *testing.T) { packageLife(t, newDebian(t), first, second) })
	}
}

func packageLife(t *testing.T, r *root, first, second string) {
	const offender = "198.51.100.7"
	before := r.files()
	install := func(deb string) {
		t.Helper()
		rig.Sh(t, "", "cp", deb, filepath.Join(r.dir, "root/stockade.deb"))
		r.must("dpkg", "-i", "/root/stockade.deb")
		if err := os.Remove(filepath.Join(r.dir, "root/stockade.deb")); err != nil {
			t.Fatal(err)
		}
	}
	install(first)
	r.must("stockade", "check", "--strict")
	p := r.serve()
	r.must("stockade", "ban", offender)
	if !rig.Holds(t, r.ns, "ban4", offender) {
		t.Fatal("the ban is not in the kernel")
	}

	const own = "# mine\nnever_ban: [203.0.113.7]\n"
	r.write("etc/stockade/conf.d/50-own.yaml", own)
	config := r.read("etc/stockade/stockade.yaml") + "\n# changed by the administrator\n"
	r.write("etc/stockade/stockade.yaml", config)
	install(second) // over the running one
	if got := r.must("dpkg-query", "-W", "-f", "${Version} ${Status}", "stockade"); got != "0.2.0 install ok installed" {
		t.Errorf("after the upgrade: %s", got)
	}
	if r.read("etc/stockade/stockade.yaml") != config || r.read("etc/stockade/conf.d/50-own.yaml") != own {
		t.Error("the upgrade changed the configuration")
	}
	if !rig.Holds(t, r.ns, "ban4", offender) {
		t.Error("the ban left the kernel with the upgrade")
	}
	p.End(syscall.SIGTERM) // as the unit is restarted
	p = r.serve()
	if got := r.bans(); !slices.Equal(got, []string{offender + "/32"}) || !rig.Holds(t, r.ns, "ban4", offender) {
		t.Errorf("after the upgrade the bans are %v", got)
	}

	p.End(syscall.SIGTERM)
	r.must("dpkg", "-r", "stockade")
	if rig.Holds(t, r.ns, "ban4", offender) || strings.Contains(rig.Sh(t, r.ns, "nft", "list", "tables"), "stockade") {
		t.Error("the table stays in the kernel without anybody to lift its bans")
	}
	if r.read("etc/stockade/stockade.yaml") != config {
		t.Error("a removal took the configuration")
	}
	if _, err := os.Stat(filepath.Join(r.dir, "var/lib/stockade")); err != nil {
		t.Errorf("a removal took the state: %v", err)
	}
	r.must("dpkg", "-P", "stockade")
	if after := r.files(); !slices.Equal(after, before) {
		t.Errorf("purged, these stay: %v; these are gone: %v", without(after, before), without(before, after))
	}
	for _, file := range []string{"etc/passwd", "etc/group"} {
		if strings.Contains(r.read(file), "stockade") {
			t.Errorf("purged, %s still has stockade", file)
		}
	}
}

// without are the elements of a that b has not.
func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// TestPackageContents looks at what is in the package: everything has its place and its mode, and
// nothing else is there.
func TestPackageContents(t *testing.T) {
	rig.RequirePrograms(t, "dpkg-deb")
	out := rig.OpenDir(t)
	deb := quickPackage(t, "0.1.0", out)
	if again := quickPackage(t, "0.1.0", rig.OpenDir(t)); !sameFile(t, deb, again) {
		t.Error("the same sources give two packages")
	}
	dir := filepath.Join(out, "unpacked")
	rig.Sh(t, "", "dpkg-deb", "-R", deb, dir)
	for path, has := range map[string]string{
		"usr/share/bash-completion/completions/stockade":           "__start_stockade",
		"usr/share/zsh/vendor-completions/_stockade":               "#compdef stockade",
		"usr/share/fish/vendor_completions.d/stockade.fish":        "complete -c stockade",
		"usr/share/doc/stockade/modules.txt":                       "dep\tgithub.com/spf13/cobra",
		"usr/share/doc/stockade/examples/systemd/exec.conf":        "CAP_SETUID",
		"lib/systemd/system/stockade.service":                      "Type=notify",
		"lib/systemd/system/stockade-journal.socket":               "ListenDatagram=",
		"usr/lib/sysusers.d/stockade.conf":                         "u stockade",
		"usr/lib/tmpfiles.d/stockade.conf":                         "/run/stockade",
		"DEBIAN/conffiles":                                         "/etc/stockade/stockade.yaml\n",
		"etc/stockade/stockade.yaml":                               "jails:",
		"usr/share/doc/stockade/examples/systemd/stockade.service": "WatchdogSec",
	} {
		if text, err := os.ReadFile(filepath.Join(dir, path)); err != nil || !bytes.Contains(text, []byte(has)) {
			t.Errorf("%s: %v, %q is not in it", path, err, has)
		}
	}
	for _, page := range []string{"man8/stockade.8.gz", "man8/stockade-ban.8.gz", "man8/stockade-pki-issue.8.gz", "man5/stockade.yaml.5.gz"} {
		if _, err := os.Stat(filepath.Join(dir, "usr/share/man", page)); err != nil {
			t.Error(err)
		}
	}
	program, err := os.ReadFile(filepath.Join(dir, "usr/bin/stockade"))
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(program, []byte("stockade_stall")) {
		t.Error("the program of the package can be told to hang")
	}
	for line := range strings.Lines(rig.Sh(t, "", "dpkg-deb", "-c", deb)) {
		f := strings.Fields(line)
		if f[1] != "root/root" || strings.ContainsAny(f[0][5:], "w") || strings.ContainsAny(f[0], "sStT") {
			t.Errorf("mode or owner: %s", line)
		}
	}
}

func sameFile(t *testing.T, a, b string) bool {
	t.Helper()
	x, err := os.ReadFile(a)
	if err != nil {
		t.Fatal(err)
	}
	y, err := os.ReadFile(b)
	if err != nil {
		t.Fatal(err)
	}
	return bytes.Equal(x, y)
}

// TestPackageIsReproducible builds the shipped package twice, from two folders, and has lintian look
// at it. It takes minutes.
func TestPackageIsReproducible(t *testing.T) {
	if !rig.Long() {
		t.Skip("builds everything anew: needs -long")
	}
	rig.RequirePrograms(t, "lintian", "git")
	elsewhere := rig.OpenDir(t)
	rig.Sh(t, "", "sh", "-c", `cd ../../../.. && git ls-files -z | tar --null -cf - -T - | tar -xf - -C "$0"`, elsewhere)
	here := buildPackage(t, "0.1.0", rig.OpenDir(t))
	cmd := exec.Command(filepath.Join(elsewhere, ".ci/deb"), "0.1.0", elsewhere)
	cmd.Env = append(os.Environ(), "SOURCE_DATE_EPOCH=1795478400", "GOCACHE="+filepath.Join(elsewhere, ".cache"), "HOME="+elsewhere)
	if text, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf(".ci/deb: %v\n%s", err, text)
	}
	if !sameFile(t, here, filepath.Join(elsewhere, filepath.Base(here))) {
		t.Error("two builds differ")
	}
	lint, err := exec.Command("lintian", "--allow-root", "--fail-on", "error,warning", here).CombinedOutput()
	if err != nil {
		t.Errorf("lintian: %v\n%s", err, lint)
	}
}
