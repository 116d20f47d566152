package nft

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// withRepair runs a step and, when something it needs is gone from the kernel, repairs and runs
// it once more.
func (e *Enforcer) withRepair(step func() error) error {
	err := step()
	if !errors.Is(err, unix.ENOENT) {
		return err
	}
	if err := e.repair(); err != nil {
		return err
	}
	return step()
}

// repair makes the table, its sets, chains and rules anew where they are gone. Elements that are
// gone stay gone until they are set again; Watch tells of them.
func (e *Enforcer) repair() error {
	e.repaired = append(e.repaired, "something of the table was gone")
	e.disturbed = true
	if err := e.ensureTable(); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	if err := e.structure(); err != nil {
		return fmt.Errorf("repair: %w", err)
	}
	return e.writeNever()
}
