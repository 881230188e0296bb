# make encode IN=clip.mp4 OUT=out.mp4 [ARGS="-crf 20"]   build divien and encode a clip with it
# make test                                              run every test
# make check                                             formatting, lints, documentation, licences
# make bench [IN=clip.mp4] [ROUNDS=5] [CONTESTS=a,b]     time divien against ffmpeg, x264enc and av1an
# make soak [CASES=2000] [RUNS=50] [KILLS=200] [SEED=1]  damage clips, then workers, while divien encodes, then stop it
# make kills [KILLS=200] [MINUTES=30] [SEED=1]           stop divien at random moments, and go on
# make cost IN=clip.mp4 [ROUNDS=5]                       what it costs that an encode can be interrupted
# make lines IN=clip.mp4                                 what slow and lossy lines do to QUIC, and to a worker
# make scale [CHUNKS=2000] [WORKERS=1,4,16,64]           what many workers cost the one that has the chunks
# make slow [CHUNKS=40,100,400] [ROUNDS=5]               what one slow worker of four costs
# make raw [FRAMES=2000] [ROUNDS=5]                      what raw pictures for a worker take, against plain QUIC
# make quality [CLIPS=a,b] [ENCODERS=x264] [WAYS=fixed:0,…]    what cutting costs in quality, against one encoder
# make fuzz [SECONDS=60] [TARGET=inputs]                 look for bytes from a network that divien does not stand
# make setup                                             install what a build and the tests need

# Paths given as IN and OUT belong to the caller's folder, so `make -f` works from anywhere and through links.
ROOT := $(dir $(realpath $(lastword $(MAKEFILE_LIST))))
MANIFEST := --manifest-path "$(ROOT)Cargo.toml"
PROFILE ?= release
IN ?=
OUT ?= out.mp4
ARGS ?=
TEST_ARGS ?=

ROUNDS ?= 5
CONTESTS ?=
WORKERS ?=
# Set to 1 it brings docs/bench.* and the README up to date.
RECORD ?=
CASES ?= 2000
RUNS ?= 50
KILLS ?= 200
MINUTES ?=
SEED ?= 1
SECONDS ?= 60
CHUNKS ?=
FRAMES ?= 2000
CLIPS ?=
ENCODERS ?=
WAYS ?=
MANY := 1,4,16,64
FEW := 40,100,400
TARGET ?=

.PHONY: help encode test bench soak kills cost lines scale slow raw quality fuzz check fmt clippy doc deny setup

help:
	@sed -n 's/^# \(make .*\)/\1/p' "$(ROOT)Makefile"

encode:
	@"$(ROOT)scripts/setup.sh" build
	@echo "building divien ($(PROFILE)); the first time takes some minutes"
	@cargo build -q --profile $(PROFILE) $(MANIFEST) -p divien
ifeq ($(strip $(IN)),)
	@echo "no IN=clip.mp4 was given: making a 20 s clip, sample.mp4"
	@"$(ROOT)scripts/sample.sh" sample.mp4
	@cargo run -q --profile $(PROFILE) $(MANIFEST) -p divien -- -y -i sample.mp4 $(ARGS) "$(OUT)"
else
	@cargo run -q --profile $(PROFILE) $(MANIFEST) -p divien -- -i "$(IN)" $(ARGS) "$(OUT)"
endif

test:
	@"$(ROOT)scripts/setup.sh" test
	cargo test $(MANIFEST) --workspace --no-fail-fast $(TEST_ARGS)

bench:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(MANIFEST) -p divien -p divien-testbed
	"$(ROOT)target/$(PROFILE)/bench" "$(ROOT)target/$(PROFILE)/divien" --rounds $(ROUNDS) \
		--workers "$(or $(WORKERS),2)" $(if $(CONTESTS),--contests "$(CONTESTS)") \
		--into "$(ROOT)$(if $(RECORD),docs,target/bench)" $(if $(RECORD),--readme "$(ROOT)README.md") $(if $(IN),"$(IN)")

soak:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(MANIFEST) -p divien -p divien-testbed
	"$(ROOT)target/$(PROFILE)/soak" "$(ROOT)target/$(PROFILE)/divien" --cases $(CASES) --seed $(SEED) \
		--keep "$(ROOT)target/soak"
	"$(ROOT)target/$(PROFILE)/faults" "$(ROOT)target/$(PROFILE)/divien" --runs $(RUNS) --seed $(SEED) \
		--keep "$(ROOT)target/faults"
	"$(ROOT)target/$(PROFILE)/kills" "$(ROOT)target/$(PROFILE)/divien" --runs $(KILLS) --seed $(SEED)

kills:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(MANIFEST) -p divien -p divien-testbed
	"$(ROOT)target/$(PROFILE)/kills" "$(ROOT)target/$(PROFILE)/divien" --seed $(SEED) \
		$(if $(MINUTES),--minutes $(MINUTES),--runs $(KILLS))

cost:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(MANIFEST) -p divien -p divien-testbed
	"$(ROOT)target/$(PROFILE)/cost" "$(ROOT)target/$(PROFILE)/divien" "$(IN)" --rounds $(ROUNDS) $(ARGS)

# The plugin, and the encoder that waits.
WAITING := $(MANIFEST) -p divien -p gst-plugin-divien -p divien-testbed --lib --bins --examples
BUILT = "$(ROOT)target/$(PROFILE)/divien" "$(ROOT)target/$(PROFILE)"

lines:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(WAITING)
	"$(ROOT)target/$(PROFILE)/lines" $(BUILT) "$(IN)"

scale:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(WAITING)
	"$(ROOT)target/$(PROFILE)/scale" $(BUILT) --chunks $(or $(CHUNKS),2000) --workers "$(or $(WORKERS),$(MANY))"

slow:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(WAITING)
	"$(ROOT)target/$(PROFILE)/slow" $(BUILT) --chunks "$(or $(CHUNKS),$(FEW))" --rounds $(ROUNDS)

raw:
	@"$(ROOT)scripts/setup.sh" test
	cargo build -q --profile $(PROFILE) $(WAITING)
	"$(ROOT)target/$(PROFILE)/raw" $(BUILT) --frames $(FRAMES) --rounds $(ROUNDS)

quality:
	@"$(ROOT)scripts/setup.sh" quality
	cargo build -q --profile $(PROFILE) $(MANIFEST) -p divien -p divien-testbed
	"$(ROOT)target/$(PROFILE)/quality" "$(ROOT)target/$(PROFILE)/divien" \
		"$$("$(ROOT)scripts/vmaf.sh" "$(ROOT)target/vmaf")" --into "$(ROOT)$(if $(RECORD),docs,target/quality)" \
		$(if $(CLIPS),--clips "$(CLIPS)") $(if $(ENCODERS),--encoders "$(ENCODERS)") $(if $(WAYS),--ways "$(WAYS)")

fuzz:
	@"$(ROOT)scripts/fuzz.sh" $(SECONDS) $(TARGET)

check: fmt clippy doc deny

fmt:
	cargo fmt $(MANIFEST) --all -- --check

clippy:
	cargo clippy $(MANIFEST) --workspace --all-targets -- -D warnings

doc:
	RUSTDOCFLAGS="-D warnings" cargo doc $(MANIFEST) --workspace --no-deps

deny:
	@command -v cargo-deny >/dev/null || CARGO_PROFILE_DEV_DEBUG=0 cargo install --locked --debug cargo-deny
	cargo deny $(MANIFEST) check licenses bans sources

setup:
	@"$(ROOT)scripts/setup.sh" test
	@echo "everything is here"
