package action

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"

	"stockade/jails/filter/fail2ban"
)

// Own are the options that are an action's own, as opposed to parameters of its commands.
var Own = []string{
	"actionstart", "actionstart_on_demand", "actionstop", "actionflush", "actionreload", "actioncheck", "actionrepair",
	"actionrepair_on_unban", "actionban", "actionprolong", "actionreban", "actionunban", "norestored",
}

// Kept are tags that hold what a line says or that only a ban knows: no option stands for them.
var Kept = []string{"matches", "ipmatches", "ipjailmatches", "timeout", "bantime"}

// Folder is where an action file is looked for that is named without a folder.
const Folder = "/etc/fail2ban/action.d"

// The families of addresses, as conditional options name them. The empty one is every address of an
// action without such options.
const (
	inet4 = "inet4"
	inet6 = "inet6"
)

// The commands of an action.
const (
	cmdStart   = "actionstart"
	cmdStop    = "actionstop"
	cmdFlush   = "actionflush"
	cmdCheck   = "actioncheck"
	cmdRepair  = "actionrepair"
	cmdBan     = "actionban"
	cmdProlong = "actionprolong"
	cmdUnban   = "actionunban"
)

var commands = []string{cmdStart, cmdStop, cmdFlush, cmdCheck, cmdRepair, cmdBan, cmdProlong, cmdUnban}

// Definition is an action file as a jail uses it. It is immutable.
type Definition struct {
	Path       string
	options    map[string]string // with their tags replaced, conditional ones excepted
	families   []string
	scripts    map[string]*script // by command and family: actionban?inet6
	onDemand   bool               // actionstart waits for the first ban
	norestored bool               // bans that were there before the start are no news
	repairs    bool               // actionrepair_on_unban
}

// Read reads the action that a reference names, fail2ban:PATH[options], for a jail, and compiles its
// commands. It runs nothing.
func Read(ref, jail string) (*Definition, error) {
	if !strings.HasPrefix(ref, fail2ban.Prefix) {
		return nil, fmt.Errorf("action %q: write fail2ban:/etc/fail2ban/action.d/NAME.conf[options]", clip(ref))
	}
	path, given, err := fail2ban.Parse(ref)
	if err != nil {
		return nil, err
	}
	if !strings.ContainsRune(path, filepath.Separator) {
		path = filepath.Join(Folder, path)
	}
	options, err := Resolve(path, given, jail, nil)
	if err != nil {
		return nil, err
	}
	return compile(path, options)
}

// Resolve returns all options of an action file as a jail of that name uses it, with their tags
// replaced where they are no conditional ones: given are those in brackets behind the action's name,
// and vars what the jail's own options are.
func Resolve(path string, given map[string]string, jail string, vars map[string]string) (map[string]string, error) {
	c, err := fail2ban.ReadConfig(path, fail2ban.Reader{})
	if err != nil {
		return nil, err
	}
	own := map[string]string{}
	for k, v := range given {
		own[k] = v
	}
	if _, ok := own["name"]; !ok {
		own["name"] = jail
	}
	if _, ok := own["actname"]; !ok {
		own["actname"] = actionName(strings.TrimSuffix(filepath.Base(path), ".conf"), own["name"], jail)
	}
	d, err := c.Definition(Own, fail2ban.Options{Filter: own, Jail: vars, Keep: Kept})
	if err != nil {
		return nil, err
	}
	all := map[string]string{}
	for _, option := range d.Options() {
		text, ok, err := d.Get(option)
		if err != nil {
			return nil, err
		}
		if ok {
			all[option] = text
		}
	}
	return all, nil
}

// actionName is what fail2ban calls an action of a jail, so that each has a name of its own.
func actionName(file, name, jail string) string {
	if name == jail {
		return file
	}
	if rest, ok := strings.CutPrefix(name, jail); ok {
		return file + rest
	}
	return file + "-" + name
}

// compile makes the scripts of all commands and families.
func compile(path string, options map[string]string) (*Definition, error) {
	d := &Definition{Path: path, options: options, scripts: map[string]*script{}, families: []string{""}}
	conditional := false
	for name := range options {
		if strings.Contains(name, "?family=") {
			conditional = true
		}
	}
	if conditional {
		d.families = []string{inet4, inet6}
	}
	d.onDemand = conditional
	if text, ok := options["actionstart_on_demand"]; ok {
		d.onDemand = truth(text)
	}
	d.norestored = truth(options["norestored"])
	d.repairs = truth(options["actionrepair_on_unban"])
	for _, name := range commands {
		for _, family := range d.families {
			s, err := newScript(d.static(name, family))
			if err != nil {
				return nil, fmt.Errorf("%s: %s: %w", path, name, err)
			}
			if s != nil {
				d.scripts[name+"?"+family] = s
			}
		}
	}
	if d.script(cmdBan, d.families[0]) == nil && d.script(cmdUnban, d.families[0]) == nil && d.script(cmdStart, d.families[0]) == nil {
		return nil, fmt.Errorf("%s: it has no command: no actionban, actionunban or actionstart", path)
	}
	return d, nil
}

// script returns the command of a family; nil when there is none.
func (d *Definition) script(name, family string) *script { return d.scripts[name+"?"+family] }

// family is the one of those that the action tells apart.
func (d *Definition) family(six bool) string {
	switch {
	case d.families[0] == "":
		return ""
	case six:
		return inet6
	}
	return inet4
}

var tagShape = regexp.MustCompile(`<([^ <>]+)>`)

// static is the text of a command with the parameters of the family.
func (d *Definition) static(name, family string) string {
	text := d.option(name, family)
	const most = 25 // times that tags refer to further tags
	for range most {
		next := tagShape.ReplaceAllStringFunc(text, func(tag string) string {
			option := strings.ToLower(tag[1 : len(tag)-1])
			if known := dynamic[option]; known != 0 || strings.HasPrefix(option, "f-") {
				return tag
			}
			if v, ok := d.lookUp(option, family); ok {
				return v
			}
			return tag
		})
		if next == text {
			break
		}
		text = next
	}
	return strings.TrimSpace(text)
}

func (d *Definition) option(name, family string) string {
	v, _ := d.lookUp(name, family)
	return v
}

func (d *Definition) lookUp(name, family string) (string, bool) {
	if family != "" {
		if v, ok := d.options[name+"?family="+family]; ok {
			return v, true
		}
	}
	v, ok := d.options[name]
	return v, ok
}

// truth reads a switch as fail2ban does.
func truth(text string) bool {
	switch strings.ToLower(strings.TrimSpace(text)) {
	case "1", "on", "true", "yes":
		return true
	}
	return false
}
