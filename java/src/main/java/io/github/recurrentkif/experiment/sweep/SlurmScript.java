package io.github.recurrentkif.experiment.sweep;

import io.github.recurrentkif.experiment.Settings;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;

/**
 * A job array for Slurm with an element for each run. It can be submitted as often as one likes: an
 * element whose run is finished ends at once, one that was stopped goes on.
 *
 * @param needs of each run of the plan
 * @param speeds what was measured of memory
 */
public record SlurmScript(SweepPlan plan, Map<PlannedRun, Needs> needs, Speeds speeds) {

  private static final int USUAL_THREADS = 4;

  /** Room for longer texts than those that were measured, and for the mapped weights. */
  private static final double ROOM = 1.5;

  private static final long MIB = 1 << 20;

  /**
   * @param folder to work in
   * @param command carries out the plan, as a shell understands it
   * @param sweep the folder of the sweep
   */
  public String text(Path folder, String command, Path sweep) {
    int threads = plan.runs().getFirst().configuration().settings().get(Settings.THREADS);
    StringBuilder text =
        new StringBuilder(
            """
            #!/bin/sh
            # %d runs of kif; submit it again to fill gaps: what is finished ends at once.
            # The queue and the time limit are yours to add, here or behind sbatch.
            #SBATCH --job-name=kif-sweep
            #SBATCH --array=1-%d
            #SBATCH --cpus-per-task=%d
            #SBATCH --mem=%dM
            #SBATCH --output=%s/logs/slurm-%%A-%%a.log
            # Two minutes before the time is over: the run saves its state and ends.
            #SBATCH --signal=B:TERM@120
            """
                .formatted(
                    plan.runs().size(),
                    plan.runs().size(),
                    threads > 0 ? threads : USUAL_THREADS,
                    memory(),
                    sweep));
    List<PlannedRun> runs = plan.runs();
    for (int i = 0; i < runs.size(); i++) {
      text.append("#run ").append(i + 1).append(' ').append(runs.get(i).name()).append('\n');
    }
    text.append(
        """
        run=$(sed -n "s/^#run $SLURM_ARRAY_TASK_ID //p" "$0")
        cd '%s' || exit 2
        exec %s --only="$run" --set=threads="$SLURM_CPUS_PER_TASK"
        """
            .formatted(folder, command));
    return text.toString();
  }

  /** Of the run that needs most, in MiB. */
  private long memory() {
    long most = 0;
    for (Map.Entry<PlannedRun, Needs> one : needs.entrySet()) {
      String method = one.getKey().configuration().method().text();
      Needs of = one.getValue();
      most = Math.max(most, of.memory(speeds, method) + of.weights());
    }
    return (long) Math.ceil(ROOM * most / MIB) + 256;
  }
}
