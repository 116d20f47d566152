package fail2ban

import "slices"

// Definition is the file of a filter or an action, together with the options that whoever names it
// gives. It is immutable.
type Definition struct{ r *resolver }

// Definition combines [Definition] and [Init] with the options of o: those in brackets win over
// [Init], that over [Definition], that over the defaults. own are the options that are the kind of
// file's own, in lower case, such as actionban. The error is an *Error.
func (c *Config) Definition(own []string, o Options) (*Definition, error) {
	r, err := c.resolver(own, o)
	if err != nil {
		return nil, err
	}
	return &Definition{r}, nil
}

// Get returns an option with its tags replaced, except those that Options.Keep names, that have a
// conditional form, or that nothing defines. It reports false when the option is not set.
func (d *Definition) Get(option string) (string, bool, error) { return d.r.text(option) }

// Options returns the names of all options that were given or set in the file, sorted; with their
// conditions, as in blocktype?family=inet6, and without what only the defaults or a jail set.
func (d *Definition) Options() []string {
	names := sortedKeys(d.r.options)
	for _, n := range d.r.config.Options(definition) {
		if _, ok := d.r.options[n]; !ok {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}
