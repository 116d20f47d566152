package config

// addImpliedSources gives each tail and journal that no source binds a source of its own name
// that feeds every jail. It stands in the tree where the tail stands, so that messages about it
// and Show lead there.
func addImpliedSources(tree *node) {
	bound := map[string]bool{}
	sources := tree.get("sources")
	if sources != nil {
		for _, s := range sources.items {
			for _, e := range s.entries {
				if (e.key == "tail" || e.key == "journal") && e.value.kind == scalarNode {
					bound[e.key+" "+e.value.text] = true
				}
			}
		}
	}
	for _, feed := range []struct{ list, key string }{{"tails", "tail"}, {"journals", "journal"}} {
		list := tree.get(feed.list)
		if list == nil {
			continue
		}
		for _, item := range list.items {
			name := item.knownName()
			if name == "" || bound[feed.key+" "+name] {
				continue
			}
			bound[feed.key+" "+name] = true
			if sources == nil || sources.kind == nullNode {
				sources = &node{kind: listNode, at: item.at}
				tree.set("sources", item.at, sources)
			}
			sources.items = append(sources.items, impliedSource(feed.key, name, item.at))
		}
	}
}

func impliedSource(feed, name string, at position) *node {
	scalar := func(text string) *node { return &node{kind: scalarNode, at: at, text: text} }
	return &node{kind: mapNode, at: at, entries: []entry{
		{"name", at, scalar(name)},
		{feed, at, scalar(name)},
		{"jails", at, &node{kind: listNode, at: at, items: []*node{scalar("*")}}},
	}}
}
