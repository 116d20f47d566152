package migrate

import (
	"errors"
	"fmt"
)

// faultList gathers the faults of jails.
type faultList []error

func (f *faultList) add(jail string, err error) {
	if err != nil {
		*f = append(*f, fmt.Errorf("jail %s: %w", jail, err))
	}
}

func (f *faultList) join() error { return errors.Join(*f...) }
