package bench

import (
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
)

// profile lets perf record where a daemon spends its time until it ends, where Options.Profiles asks
// for it. The measurement pays for that: such a run says where the time goes, not how much it is.
func (r *run) profile(s *server) error {
	if r.Profiles == "" {
		return nil
	}
	name := strings.Map(func(c rune) rune {
		if c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' {
			return c
		}
		return '-'
	}, r.what)
	file := filepath.Join(r.Profiles, fmt.Sprintf("%02d-%s.data", len(r.recorders)+1, name))
	cmd := exec.Command("perf", "record", "-q", "-g", "-F", "1999", "-o", file, "-p", strconv.Itoa(s.cmd.Process.Pid))
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("profile: %w", err)
	}
	r.recorders = append(r.recorders, cmd)
	return nil
}

// recorded waits until all profiles are written: the daemons have ended.
func (r *run) recorded() error {
	var errs error
	for _, cmd := range r.recorders {
		if err := cmd.Wait(); err != nil {
			errs = errors.Join(errs, fmt.Errorf("profile: %s: %w", strings.Join(cmd.Args, " "), err))
		}
	}
	return errs
}
