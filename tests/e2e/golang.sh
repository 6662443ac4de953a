# Sourced by what is built from Go modules: go_ready NAME sets the environment of go, or skips with a word and exit code 3.
#
# All of it is compiled with the same flags, so that the standard library and gRPC are compiled once where Go's cache is empty; and as
# cheaply as can be, since each program runs for seconds: not optimised, without C, without what debuggers read, and the compiler
# collects its garbage late. What each of that saves is in collector/README.md.

go_release=1.26        # what the modules ask for
go_newer=go1.27.3      # fetched as a Go module where Go is older, if it is new enough to do so
go_fetches_since=1.21

skip() { echo "skipped: $*"; exit 3; }
older() { [ "$1" != "$2" ] && [ "$(printf '%s\n' "$1" "$2" | sort -V | head -n 1)" = "$1" ]; } # versions

go_ready() { # who
  command -v go >/dev/null || skip "$1: there is no go (tools/install test)"
  local here
  here=$(GOTOOLCHAIN=local go env GOVERSION)
  here=${here#go}
  if older "$here" "$go_release"; then
    older "$here" "$go_fetches_since" && skip "$1: go $here is too old to fetch the newer one that it needs ($go_release)"
    export GOTOOLCHAIN=$go_newer
  fi
  export CGO_ENABLED=0 GOWORK=off GOGC=off GOMEMLIMIT=1GiB
  export GOFLAGS="-buildvcs=false -ldflags=-w '-gcflags=all=-N -l -dwarf=false'"
}
