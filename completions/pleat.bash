# SPDX-License-Identifier: MIT OR Apache-2.0
# bash completion of pleat(1)

_pleat_devices() {
  pleat list --raw --noheadings --output NAME 2>/dev/null
}

_pleat_columns() {
  echo NAME DISKSIZE DATA COMPR ALGORITHM STREAMS ZERO-PAGES TOTAL MEM-LIMIT MEM-USED MIGRATED COMP-RATIO \
    MOUNTPOINT DEVICE TRANSPORT STATE ID PID ISA DEPTH BLOCK-SIZE PAGES HUGE-PAGES DISCARDED FAILED-READS \
    FAILED-WRITES CORRUPT READ WRITTEN READ-P99 WRITE-P99 METADATA DAEMON VERSION
}

# The options of a command, and where it takes device names those too.
_pleat_words() {
  case $1 in
    create)
      echo --help --size --size-max --algorithm --recompress --writeback-device --mem-limit --queues --depth --block-size --transport \
        --id --swap --priority --discard --no-discard --foreground
      ;;
    list | ls) echo --help --output --output-all --bytes --raw --noheadings --json && _pleat_devices ;;
    stat) echo --help --json --mm-stat --io-stat --bd-stat && _pleat_devices ;;
    metrics) echo --help --output && _pleat_devices ;;
    set) echo --help --size mem-limit= mem-used-max=0 writeback-limit= && _pleat_devices ;;
    compact) echo --help && _pleat_devices ;;
    idle) echo --help --all --age && _pleat_devices ;;
    recompress) echo --help --type --threshold --max-pages --algorithm --gpu && _pleat_devices ;;
    writeback) echo --help --type --pages --max-pages && _pleat_devices ;;
    remove | rm) echo --help --all --swapoff && _pleat_devices ;;
    upgrade | recover) echo --help --all && _pleat_devices ;;
    bench)
      echo --help codec store gpu --pages --synthetic --pages-max --seed --codec --isa --threads --repeats \
        --zram --json --batch --device
      ;;
    capture) echo --help --pid --output --max-pages --seed --groups --no-stop --after ;;
    gpu) echo --help info tier --device --codec --threads --size && compgen -d -- "$current" ;;
    train) echo --help --output && compgen -f -- "$current" ;;
    help) echo create list stat metrics set compact idle recompress writeback remove upgrade bench capture gpu train ;;
  esac
}

_pleat() {
  local current=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]} words
  if ((COMP_CWORD == 1)); then
    words="create list stat metrics set compact idle recompress writeback remove upgrade bench capture gpu train help --help --version"
  else
    case $previous in
      --age) words="60 720 8640 103680" ;;
      --type) words="idle huge huge_idle" && [[ ${COMP_WORDS[1]} != writeback ]] || words+=" incompressible" ;;
      --recompress) words="lz4hc zstd zstd:9 zstd:19 lz4 line lz4hc,block=16384 zstd,block=16384 zstd:9,block=16384 zstd:19,block=16384 lz4,block=16384" ;;
      --transport) words="auto ublk loop" ;;
      --block-size) words="512 4096" ;;
      --algorithm | -a) words="auto lz4 lz4hc zstd zstd,tables=canned zstd,tables=mixed line line,fallback=lz4" ;;
      --codec) words="lz4 lz4hc zstd zstd,tables=canned zstd,tables=mixed line line,fallback=lz4" ;;
      --isa) words="scalar avx2 avx512 neon all" ;;
      --size | -s | --size-max | --mem-limit | -m) words="ram/2 ram/4 1G 2G 4G" ;;
      --pages | --output | -o | --writeback-device)
        [[ ${COMP_WORDS[1]} != writeback ]] || return
        if [[ ${COMP_WORDS[1]} == list || ${COMP_WORDS[1]} == ls ]]; then
          words=$(_pleat_columns)
        else
          mapfile -t COMPREPLY < <(compgen -f -- "$current")
          return
        fi
        ;;
      *) words=$(_pleat_words "${COMP_WORDS[1]}") ;;
    esac
  fi
  mapfile -t COMPREPLY < <(compgen -W "$words" -- "$current")
  # A value follows the '=' at once.
  [[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace
}

complete -F _pleat pleat
