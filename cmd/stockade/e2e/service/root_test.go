package service

import (
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"stockade/cmd/stockade/e2e/rig"
)

// root is a folder that programs are run in as if it were the whole file system, in a network
// namespace of its own.
type root struct {
	t   *testing.T
	dir string
	ns  string
}

// newRoot makes a root of what dpkg, the package's scripts and the daemon need of this host.
func newRoot(t *testing.T) *root {
	t.Helper()
	r := &root{t: t, dir: rig.OpenDir(t), ns: rig.NewNS(t)}
	for _, dir := range []string{"bin", "sbin", "lib", "lib64"} {
		r.make("usr/" + dir)
		if err := os.Symlink("usr/"+dir, filepath.Join(r.dir, dir)); err != nil {
			t.Fatal(err)
		}
	}
	for _, dir := range []string{"etc", "proc", "dev", "tmp", "run", "root", "var/lib/dpkg/info", "var/lib/dpkg/updates", "var/lib/dpkg/triggers"} {
		r.make(dir)
	}
	r.write("etc/passwd", "root:x:0:0:root:/root:/bin/sh\n")
	r.write("etc/group", "root:x:0:\nadm:x:4:\nsystemd-journal:x:999:\n")
	r.write("var/lib/dpkg/status", "Package: systemd\nStatus: install ok installed\nVersion: 252\nArchitecture: all\nMaintainer: nobody\nDescription: stands for it\n\n")
	r.write("var/lib/dpkg/info/systemd.list", "/.\n/etc\n/lib\n/usr\n") // folders of others stay
	r.write("etc/shadow", "root:*:20000:0:99999:7:::\n")
	r.write("etc/gshadow", "root:*::\nadm:*::\nsystemd-journal:*::\n")
	r.write("dev/null", "") // a device is mounted over it
	r.copyPrograms("sh", "dpkg", "dpkg-deb", "dpkg-split", "dpkg-query", "tar", "rm", "mv", "diff", "ldconfig", "start-stop-daemon",
		"getent", "userdel", "groupdel", "systemd-sysusers", "journalctl", "setpriv")
	return r
}

// newDebian makes a root by debootstrap, from a mirror.
func newDebian(t *testing.T) *root {
	t.Helper()
	rig.RequirePrograms(t, "debootstrap")
	r := &root{t: t, dir: rig.OpenDir(t), ns: rig.NewNS(t)}
	rig.Sh(t, "", "debootstrap", "--variant=minbase", "--include=systemd,nftables", "bookworm", r.dir)
	return r
}

func (r *root) make(path string) {
	r.t.Helper()
	if err := os.MkdirAll(filepath.Join(r.dir, path), 0o755); err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) write(path, text string) {
	r.t.Helper()
	if err := os.WriteFile(filepath.Join(r.dir, path), []byte(text), 0o644); err != nil {
		r.t.Fatal(err)
	}
}

func (r *root) read(path string) string {
	r.t.Helper()
	text, err := os.ReadFile(filepath.Join(r.dir, path))
	if err != nil {
		r.t.Fatal(err)
	}
	return string(text)
}

// copyPrograms copies programs of this host with the libraries that they load.
func (r *root) copyPrograms(names ...string) {
	r.t.Helper()
	done := make(map[string]bool)
	for _, name := range names {
		rig.RequirePrograms(r.t, name)
		path, err := exec.LookPath(name)
		if err != nil {
			r.t.Fatal(err)
		}
		files := []string{path}
		for _, word := range strings.Fields(rig.Sh(r.t, "", "ldd", path)) {
			if strings.HasPrefix(word, "/") {
				files = append(files, word)
			}
		}
		for _, f := range files {
			if !done[f] {
				done[f] = true
				r.make(filepath.Dir(f))
				rig.Sh(r.t, "", "cp", "-L", f, filepath.Join(r.dir, f))
			}
		}
	}
}

// command runs in the root, with /proc and /dev/null, in mounts that end with it.
func (r *root) command(args ...string) *exec.Cmd {
	const enter = `mount -t proc proc "$0/proc" && touch "$0/dev/null" && mount --bind /dev/null "$0/dev/null" && exec chroot "$0" "$@"`
	cmd := rig.InNS(r.ns, append([]string{"unshare", "--mount", "--propagation", "private", "sh", "-c", enter, r.dir}, args...)...)
	cmd.Env = []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"}
	return cmd
}

// must runs a command that must succeed and returns its output.
func (r *root) must(args ...string) string {
	r.t.Helper()
	out, err := r.command(args...).CombinedOutput()
	if err != nil {
		r.t.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// files lists what is in the root, but for what dpkg and the tools for users keep of their own.
func (r *root) files() (list []string) {
	r.t.Helper()
	err := filepath.WalkDir(r.dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		name := strings.TrimPrefix(path, r.dir)
		switch {
		case e.IsDir() && slices.Contains([]string{"/var/lib/dpkg", "/var/log", "/proc", "/dev", "/var/cache/ldconfig"}, name):
			return fs.SkipDir
		case name == "/etc/.pwd.lock" || strings.HasPrefix(name, "/etc/") && strings.HasSuffix(name, "-"):
			return nil
		}
		list = append(list, name)
		return nil
	})
	if err != nil {
		r.t.Fatal(err)
	}
	return list
}
