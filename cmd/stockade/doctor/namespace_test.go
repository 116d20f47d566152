package doctor

import (
	"os"
	"os/exec"
	"testing"
)

// inNamespace is the variable that tells a test that it runs in a network namespace of its own.
const inNamespace = "STOCKADE_TEST_DOCTOR_NS"

// runInNamespace runs the test again in a fresh network namespace, where it may load what it likes.
func runInNamespace(t *testing.T) {
	t.Helper()
	for _, program := range []string{"nft", "unshare"} {
		if _, err := exec.LookPath(program); err != nil || os.Geteuid() != 0 {
			const reason = "needs root and the programs nft and unshare"
			if os.Getenv("STOCKADE_REQUIRE") == "all" {
				t.Fatal(reason)
			}
			t.Skip(reason)
		}
	}
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), "unshare", "-n", "-m", exe, "-test.run", "^"+t.Name()+"$", "-test.v")
	if testing.Short() {
		cmd.Args = append(cmd.Args, "-test.short")
	}
	cmd.Env = append(os.Environ(), inNamespace+"=1")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Logf("%s", out)
}
