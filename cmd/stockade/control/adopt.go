package control

import (
	"context"
	"net/http"
	"net/netip"
	"strings"
	"time"
	"unicode"
)

// MaxAdopt is how many bans one AdoptRequest may have.
const MaxAdopt = 2000

// Adopter takes over bans of another program with the ends that they have. A ban of the jail that ends
// no earlier is kept. Unknown jails and protected addresses are listed as left, not refused. It
// returns once all that it adopted is enforced and on disk.
type Adopter interface {
	Adopt(ctx context.Context, r AdoptRequest) (AdoptResult, error)
}

// AdoptRequest hands over bans that another program made, and what it remembers of offenders.
type AdoptRequest struct {
	From string         `json:"from"` // the program: the source of the bans
	Bans List[AdoptBan] `json:"bans"` // at most MaxAdopt
}

// AdoptBan is one ban of another program, one that has ended too.
type AdoptBan struct {
	Jail    string       `json:"jail"`
	Address netip.Prefix `json:"address"`
	Start   time.Time    `json:"start"`
	End     *time.Time   `json:"end"`   // nil: permanent; past: only the offender is remembered
	Count   int64        `json:"count"` // bans so far, this one included; at least 1
}

// AdoptResult is the outcome of an adoption.
type AdoptResult struct {
	Adopted    int64           `json:"adopted"`    // bans that hold now
	Kept       int64           `json:"kept"`       // bans that were there already and end no earlier
	Remembered int64           `json:"remembered"` // offenders whose earlier bans are known now
	Left       List[AdoptLeft] `json:"left"`
}

// AdoptLeft is a ban that was not adopted.
type AdoptLeft struct {
	Jail    string       `json:"jail"`
	Address netip.Prefix `json:"address"`
	Why     string       `json:"why"`
}

// Adopt hands over bans of another program.
func (c *Client) Adopt(ctx context.Context, r AdoptRequest) (AdoptResult, error) {
	return call[AdoptResult](ctx, c, http.MethodPost, "/v1/adopt", r)
}

func (h *handler) adopt(ctx context.Context, r AdoptRequest) (AdoptResult, error) {
	if err := r.check(); err != nil {
		return AdoptResult{}, err
	}
	return h.s.Adopt.Adopt(ctx, r)
}

func (r *AdoptRequest) check() error {
	if r.From == "" || strings.ContainsFunc(r.From, unicode.IsControl) || len(r.From) > maxName {
		return usage("adopt: from must name the program, in at most %d bytes", maxName)
	}
	if len(r.Bans) == 0 || len(r.Bans) > MaxAdopt {
		return usage("adopt: %d bans, between 1 and %d are taken", len(r.Bans), MaxAdopt)
	}
	for i := range r.Bans {
		b := &r.Bans[i]
		if err := checkName("jail", b.Jail); err != nil {
			return err
		}
		switch p := b.Address; {
		case !p.IsValid() || p != p.Masked() || p.Addr().Is4In6():
			return usage("adopt: bans[%d]: no address or prefix", i)
		case p.Addr().Is4() && p.Bits() < minBits4, p.Addr().Is6() && p.Bits() < minBits6:
			return usage("adopt: bans[%d]: %s is too wide", i, p)
		case b.Count < 1 || b.Count > maxCount:
			return usage("adopt: bans[%d]: a count of %d must be between 1 and %d", i, b.Count, maxCount)
		case b.Start.IsZero():
			return usage("adopt: bans[%d]: no start", i)
		}
	}
	return nil
}

// maxCount is the most earlier bans that are taken over.
const maxCount = 1_000_000
