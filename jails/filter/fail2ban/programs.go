package fail2ban

// access are names under which people forward the access log of a web server.
var access = []string{"*apache*", "*httpd*", "*nginx*", "*lighttpd*", "*caddy*", "*access*", "*web*", "*www*", "*http*"}

// programs are the names under which the programs of well-known filters log or are forwarded, for
// filters whose files do not say. A filter that is not here and says nothing listens to all apps,
// which costs time on every line.
var programs = map[string][]string{
	"3proxy":               {"*3proxy*"},
	"apache-badbots":       access,
	"apache-fakegooglebot": access,
	"apache-pass":          access,
	"assp":                 {"*assp*"},
	"centreon":             {"*centreon*"},
	"counter-strike":       {"*hlds*", "*srcds*", "*counter*", "*cs*"},
	"cowrie":               {"*cowrie*"},
	"directadmin":          {"*directadmin*", "da-*"},
	"domino-smtp":          {"*domino*", "*notes*"},
	"ejabberd-auth":        {"*ejabberd*"},
	"gitlab":               {"*gitlab*"},
	"grafana":              {"*grafana*"},
	"groupoffice":          {"*group*office*"},
	"guacamole":            {"*guac*", "*tomcat*", "*catalina*"},
	"horde":                {"*[Hh]orde*", "*HORDE*"},
	"kerio":                {"*kerio*", "*connect*"},
	"mongodb-auth":         {"*mongo*"},
	"mssql-auth":           {"*mssql*", "*sqlserv*"},
	"nginx-bad-request":    access,
	"nginx-botsearch":      access,
	"openhab":              {"*openhab*", "*jetty*"},
	"openwebmail":          {"*openwebmail*"},
	"oracleims":            {"*ims*", "*oracle*"},
	"php-url-fopen":        access,
	"portsentry":           {"*portsentry*"},
	"selinux-ssh":          {"*audit*", "*audisp*", "kernel"},
	"sogo-auth":            {"*sogo*"},
	"squid":                {"*squid*", "*proxy*"},
	"squirrelmail":         {"*squirrelmail*"},
	"stunnel":              {"*stunnel*"},
	"tine20":               {"*tine*"},
	"traefik-auth":         {"*traefik*"},
	"vaultwarden":          {"*vaultwarden*", "*bitwarden*"},
}
