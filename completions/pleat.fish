# SPDX-License-Identifier: MIT OR Apache-2.0
# fish completion of pleat(1)

function __pleat_devices
    pleat list --raw --noheadings --output NAME 2>/dev/null
end

set -l commands create list ls stat metrics set compact remove rm upgrade recover bench capture help
set -l sizes 'ram/2 ram/4 1G 2G 4G'
complete -c pleat -f
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -l help -d 'Show the help'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -l version -d 'Show the version'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a create -d 'Make a device, and swap to it if asked'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a list -d 'Show the devices, a line each'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a stat -d 'Show one device in full'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a metrics -d 'Print statistics for Prometheus, in its text format'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a set -d 'Change a device while it is in use'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a compact -d 'Free memory between stored pages'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a remove -d 'Remove devices that nothing uses'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a upgrade -d 'Serve devices by new processes'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a bench -d 'Measure this machine'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a capture -d 'Write pages of a process to a file'
complete -c pleat -n "not __fish_seen_subcommand_from $commands" -a help -d 'Show the help of a command'

complete -c pleat -n "__fish_seen_subcommand_from $commands" -l help -d 'Show the help'
complete -c pleat -n '__fish_seen_subcommand_from list ls stat metrics set compact remove rm upgrade recover' -a '(__pleat_devices)'

complete -c pleat -n '__fish_seen_subcommand_from create' -s s -l size -x -a $sizes -d 'Size of the device'
complete -c pleat -n '__fish_seen_subcommand_from create' -l size-max -x -a $sizes -d 'Largest size it may be set to'
complete -c pleat -n '__fish_seen_subcommand_from set' -s s -l size -x -a $sizes -d 'New size of the device'
complete -c pleat -n '__fish_seen_subcommand_from create' -s a -l algorithm -x -a 'auto lz4 lz4:fast lz4hc line line,fallback=lz4' -d 'Codec of written pages'
complete -c pleat -n '__fish_seen_subcommand_from create' -s m -l mem-limit -x -a $sizes -d 'Most memory for stored pages'
complete -c pleat -n '__fish_seen_subcommand_from create' -l queues -x -d 'Hardware queues'
complete -c pleat -n '__fish_seen_subcommand_from create' -l depth -x -d 'Requests in flight a queue'
complete -c pleat -n '__fish_seen_subcommand_from create' -l block-size -x -a '512 4096' -d 'Logical block size'
complete -c pleat -n '__fish_seen_subcommand_from create' -l transport -x -a 'auto ublk loop' -d 'How requests reach the daemon'
complete -c pleat -n '__fish_seen_subcommand_from create' -l id -x -d 'Number of the ublk device'
complete -c pleat -n '__fish_seen_subcommand_from create' -l swap -d 'Swap to the device'
complete -c pleat -n '__fish_seen_subcommand_from create' -s p -l priority -x -d 'Priority of the swap'
complete -c pleat -n '__fish_seen_subcommand_from create' -l discard -d 'Free the memory of freed pages'
complete -c pleat -n '__fish_seen_subcommand_from create' -l no-discard -d 'Keep the memory of freed pages'
complete -c pleat -n '__fish_seen_subcommand_from create' -l foreground -d 'Stay until it is removed'

complete -c pleat -n '__fish_seen_subcommand_from list ls' -s o -l output -x -d 'Columns'
complete -c pleat -n '__fish_seen_subcommand_from list ls' -l output-all -d 'All columns'
complete -c pleat -n '__fish_seen_subcommand_from list ls' -s b -l bytes -d 'Sizes in bytes'
complete -c pleat -n '__fish_seen_subcommand_from list ls' -l raw -d 'One space between columns'
complete -c pleat -n '__fish_seen_subcommand_from list ls' -s n -l noheadings -d 'No headings'
complete -c pleat -n '__fish_seen_subcommand_from list ls stat' -s J -l json -d 'Print JSON'
complete -c pleat -n '__fish_seen_subcommand_from metrics' -s o -l output -r -F -d 'File to replace'
complete -c pleat -n '__fish_seen_subcommand_from stat' -l mm-stat -d 'The line of mm_stat'
complete -c pleat -n '__fish_seen_subcommand_from stat' -l io-stat -d 'The line of io_stat'
complete -c pleat -n '__fish_seen_subcommand_from stat' -l bd-stat -d 'The line of bd_stat'
complete -c pleat -n '__fish_seen_subcommand_from set' -a 'mem-limit= mem-used-max=0'
complete -c pleat -n '__fish_seen_subcommand_from remove rm' -l all -d 'All devices'
complete -c pleat -n '__fish_seen_subcommand_from upgrade recover' -l all -d 'All devices'
complete -c pleat -n '__fish_seen_subcommand_from remove rm' -l swapoff -d 'Take them out of swap first'

complete -c pleat -n '__fish_seen_subcommand_from bench' -a 'codec store'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l pages -r -F -d 'File or directory of pages'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l synthetic -d 'Also generated pages'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l pages-max -x -d 'Pages of a file at most'
complete -c pleat -n '__fish_seen_subcommand_from bench capture' -l seed -x -d 'Seed of shuffling and sampling'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l codec -x -a 'lz4 lz4:fast lz4hc line line,fallback=lz4' -d 'Codec to measure'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l isa -x -a 'scalar avx2 avx512 neon all' -d 'Instruction-set tier'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l threads -x -d 'Threads at once'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l repeats -x -d 'Interleaved repeats'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l zram -d 'Kernel zram in the same run'
complete -c pleat -n '__fish_seen_subcommand_from bench' -l json -d 'Print JSON'

complete -c pleat -n '__fish_seen_subcommand_from capture' -l pid -x -d 'Process to capture'
complete -c pleat -n '__fish_seen_subcommand_from capture' -s o -l output -r -F -d 'File to write'
complete -c pleat -n '__fish_seen_subcommand_from capture' -l max-pages -x -d 'Pages at most'
complete -c pleat -n '__fish_seen_subcommand_from capture' -l groups -d 'Aligned groups of 16 KiB'
complete -c pleat -n '__fish_seen_subcommand_from capture' -l no-stop -d 'Let the process run'
complete -c pleat -n '__fish_seen_subcommand_from capture' -l after -x -d 'Seconds after the start'

complete -c pleat -n '__fish_seen_subcommand_from help' -a 'create list stat metrics set compact remove upgrade bench capture'
