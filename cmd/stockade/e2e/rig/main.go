package rig

import (
	_ "embed" // the reaper
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
)

var (
	long  = flag.Bool("long", false, "run the long forms of the tests")
	build = flag.String("build", "", "a `flag` for go build of the programs under test, such as -race")
)

// folder holds the programs under test and what the tests write. Everybody may enter it.
var folder string

// mark is the variable that everything carries in its environment which a test has started.
const mark = "STOCKADE_TEST_RIG"

// Main runs the tests of a package and returns the exit code. No Daemon can be made without it.
func Main(m *testing.M) int {
	flag.Parse()
	if folder = os.Getenv(mark); folder != "" {
		return m.Run() // a test that runs itself again in a namespace: its parent cleans up
	}
	dir, err := os.MkdirTemp("", "stk")
	if err == nil {
		err = os.Chmod(dir, 0o755) //nolint:gosec // daemons of other users are started from it
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	folder = dir
	defer startReaper(dir)()
	if err := os.Setenv(mark, dir); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return m.Run()
}

//go:embed reaper.sh
var reaper string

// startReaper starts the process that cleans up, and returns what makes it do so. It also does when
// this process is killed or runs out of time, when no cleanup of a test is run.
func startReaper(dir string) (reap func()) {
	cmd := exec.Command("sh", "-c", reaper, "reaper", strconv.Itoa(os.Getpid()), dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // a Ctrl-C is not for it
	alive, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "reaper:", err)
		return func() { _ = os.RemoveAll(dir) }
	}
	return func() { alive.Close(); _ = cmd.Wait() }
}

// Long reports whether the long forms of the tests are to be run.
func Long() bool { return *long }

// Size is the number of steps of a test: under -short, else, and under -long.
func Size(short, normal, most int) int {
	switch {
	case *long:
		return most
	case testing.Short():
		return short
	}
	return normal
}

var builds struct {
	sync.Mutex
	done map[string]error
}

// Program returns the path of a program of this repository, "stockade" or "stockade-load". It is
// built at the first call, with the flag of -build. A test that runs itself again calls it before. It
// may be called concurrently.
func Program(t testing.TB, name string) string {
	t.Helper()
	if folder == "" {
		t.Fatal("rig: the package's TestMain does not call rig.Main")
	}
	path := filepath.Join(folder, name)
	builds.Lock()
	defer builds.Unlock()
	err, ok := builds.done[name]
	if _, missing := os.Stat(path); !ok && missing != nil {
		args := append([]string{"build", "-o", path}, strings.Fields(*build)...)
		if out, failed := exec.Command("go", append(args, "stockade/cmd/"+name)...).CombinedOutput(); failed != nil {
			err = fmt.Errorf("build of %s: %w\n%s", name, failed, out)
		}
		if builds.done == nil {
			builds.done = make(map[string]error)
		}
		builds.done[name] = err
	}
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// OpenDir returns a new folder that every user can enter, unlike t.TempDir's. Its path is short
// enough for sockets.
func OpenDir(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp(folder, "")
	if err == nil {
		t.Cleanup(func() { _ = os.RemoveAll(dir) })
		err = os.Chmod(dir, 0o755) //nolint:gosec // see above
	}
	if err != nil {
		t.Fatal(err)
	}
	return dir
}
