package migrate

// Report says what became of a fail2ban folder.
type Report struct {
	Dir      string       `json:"dir"`      // fail2ban's folder
	File     string       `json:"file"`     // of Stockade's configuration; "" when none is named
	State    string       `json:"state"`    // written, unchanged, differs, dry run
	Jails    []JailReport `json:"jails"`    // the enabled ones
	Disabled []string     `json:"disabled"` // names of jails that are off in fail2ban, and stay away
	Notes    []Item       `json:"notes"`    // what concerns all jails
}

// States of a Report.
const (
	StateWritten   = "written"   // the file is new, or was replaced
	StateUnchanged = "unchanged" // the file holds this already
	StateDiffers   = "differs"   // the file holds something else and was left alone
	StateDryRun    = "dry run"   // nothing was to be written
)

// JailReport says what became of a jail.
type JailReport struct {
	Name      string `json:"name"`      // in Stockade
	Fail2ban  string `json:"fail2ban"`  // in fail2ban
	File      string `json:"file"`      // where fail2ban's jail begins
	Line      int    `json:"line"`      // from 1
	Moved     []Item `json:"moved"`     // means the same now
	Replaced  []Item `json:"replaced"`  // is done by something of Stockade's own
	Different []Item `json:"different"` // works, and not quite in the same way
	Left      []Item `json:"left"`      // could not move: Now says what to do
}

// Item is one thing of fail2ban's and what became of it.
type Item struct {
	What string `json:"what"` // as fail2ban says it
	Now  string `json:"now"`  // what it is now, or what to do
	Why  string `json:"why"`  // "" where that is plain
}

func (j *JailReport) moved(what, now string) { j.Moved = append(j.Moved, Item{what, now, ""}) }

func (j *JailReport) replaced(what, now, why string) {
	j.Replaced = append(j.Replaced, Item{what, now, why})
}

func (j *JailReport) different(what, now, why string) {
	j.Different = append(j.Different, Item{what, now, why})
}

func (j *JailReport) left(what, now, why string) { j.Left = append(j.Left, Item{what, now, why}) }

// Complete reports whether everything of every jail moved or was replaced.
func (r *Report) Complete() bool {
	for i := range r.Jails {
		if len(r.Jails[i].Left) > 0 {
			return false
		}
	}
	return true
}

// fill makes empty lists of missing ones, as JSON wants them.
func (r *Report) fill() {
	if r.Jails == nil {
		r.Jails = []JailReport{}
	}
	if r.Disabled == nil {
		r.Disabled = []string{}
	}
	lists := []*[]Item{&r.Notes}
	for i := range r.Jails {
		j := &r.Jails[i]
		lists = append(lists, &j.Moved, &j.Replaced, &j.Different, &j.Left)
	}
	for _, l := range lists {
		if *l == nil {
			*l = []Item{}
		}
	}
}
