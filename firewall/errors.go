package firewall

import "errors"

// The errors that callers branch on. They are wrapped: compare with errors.Is.
var (
	// ErrCapability says that the process may not change the firewall. serve then exits with 4,
	// or falls back to observe where the backend was not configured.
	ErrCapability = errors.New("not permitted to change the firewall")
	// ErrProtected is the Err of a Result whose prefix lies wholly inside a protected one.
	ErrProtected = errors.New("the prefix is protected")
	// ErrFull is the Err of a Result for which the kernel's set, or the limit of MaxNets, has no
	// room.
	ErrFull = errors.New("the set is full")
	// ErrPrefix is the Err of a Result whose prefix cannot be banned: invalid, not masked, of
	// length 0, or a comment or scope that is not canonical.
	ErrPrefix = errors.New("the element is not valid")
)

// MaxNets is the largest number of elements, a family, that are neither single addresses nor
// IPv6 prefixes of Config.IPv6Prefix bits: the kernel's interval sets are slow.
const MaxNets = 4096

// MaxComment is the length in bytes an Element's comment is cut to.
const MaxComment = 128
