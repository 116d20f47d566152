package control

import "net/http"

// Code says what kind of refusal an Error is. The command line maps it to an exit code.
type Code string

// The codes.
const (
	CodeRefused      Code = "refused"       // a negative answer that fits no other code
	CodeProtected    Code = "protected"     // the address must never be banned
	CodeWidth        Code = "width"         // the prefix is too wide
	CodeLockOut      Code = "lock_out"      // it would ban the caller's own login
	CodeNotFound     Code = "not_found"     // nothing to unban
	CodeCovered      Code = "covered"       // the address lies under a wider ban
	CodeUsage        Code = "usage"         // the request makes no sense: bad field, unknown jail
	CodeBadConfig    Code = "bad_config"    // Problems says why
	CodeNotPermitted Code = "not_permitted" // the caller's role is too small
	CodeInternal     Code = "internal"
)

// Error is a refusal as it travels on the wire. Services return a *Error (possibly wrapped) to
// choose the code; any other error is sent as CodeInternal with its text.
type Error struct {
	Code     Code          `json:"code"`
	Message  string        `json:"message"`
	Problems List[Problem] `json:"problems,omitempty"` // of CodeBadConfig

	http int // the HTTP status; 0: the code's own
}

// Error returns the message.
func (e *Error) Error() string { return e.Message }

// status is the HTTP status that carries the error.
func (e *Error) status() int {
	if e.http != 0 {
		return e.http
	}
	switch e.Code {
	case CodeUsage:
		return http.StatusBadRequest
	case CodeNotPermitted:
		return http.StatusForbidden
	case CodeNotFound:
		return http.StatusNotFound
	case CodeInternal:
		return http.StatusInternalServerError
	case CodeBadConfig:
		return http.StatusUnprocessableEntity
	}
	return http.StatusConflict
}
