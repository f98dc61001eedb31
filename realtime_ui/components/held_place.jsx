/** Holds the reader's place in a scrolled list whose rows come and go above it. */
import { Component } from "react";

/** The first row in view, and how far below the box's upper edge it stands; null where there is none. */
const placeOf = (box) => {
  const rows = box.querySelectorAll("[data-seq]");
  const edge = box.getBoundingClientRect().top;
  let [low, high] = [0, rows.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (rows[middle].getBoundingClientRect().bottom > edge) high = middle;
    else low = middle + 1;
  }
  return low < rows.length ? { seq: rows[low].dataset.seq, top: rows[low].getBoundingClientRect().top - edge } : null;
};

/**
 * Around the rows of the list in `scroller`, while `holds()` says so. The place is measured right before the page changes,
 * so that it is where the reader has scrolled to by then. Only a change of the `first` row can move it; rows added at the
 * end cannot.
 */
export class HeldPlace extends Component {
  getSnapshotBeforeUpdate({ first }) {
    const { first: now, scroller, holds } = this.props;
    return first !== now && scroller.current && holds() ? placeOf(scroller.current) : null;
  }

  componentDidUpdate(props, state, place) {
    const box = this.props.scroller.current;
    const row = place && box?.querySelector(`[data-seq="${place.seq}"]`);
    if (row) box.scrollTop += row.getBoundingClientRect().top - box.getBoundingClientRect().top - place.top;
  }

  render() {
    return this.props.children;
  }
}
