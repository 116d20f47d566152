# Ends what a run of the tests left behind, however the run ended: its standard input is a pipe that
# closes with the tests' process.
# $1: the id of that process, in the names of its network namespaces; $2: its folder, which stands in
# the environment of all that it started, and holds the programs.
read -r _
for ns in $(ip netns list 2>/dev/null | cut -d' ' -f1 | grep "^stk$1-"); do
	kill -9 $(ip netns pids "$ns") 2>/dev/null
	ip netns del "$ns"
done
for env in $(grep -lsz "^STOCKADE_TEST_RIG=$2\$" /proc/[0-9]*/environ); do
	pid=${env#/proc/} && kill -9 "${pid%/environ}"
done
for exe in /proc/[0-9]*/exe; do
	case $(readlink "$exe" 2>/dev/null) in
	"$2"/*) pid=${exe#/proc/} && kill -9 "${pid%/exe}" ;;
	esac
done
rm -rf "$2"
