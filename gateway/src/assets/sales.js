// The list of sales, each with the way to its room.
const list = document.getElementById("sales");

// Page after page.
async function all() {
  const sales = [];
  let after = "";
  do {
    const page = await (await fetch("/v1/sales?after=" + encodeURIComponent(after))).json();
    sales.push(...page.sales);
    after = page.next;
  } while (after);
  return sales;
}

async function render() {
  const sales = await all();
  document.getElementById("none").hidden = sales.length > 0;
  list.replaceChildren(...sales.map((sale) => {
    const link = document.createElement("a");
    link.href = "/room/" + encodeURIComponent(sale.id);
    link.textContent = sale.title;
    const state = document.createElement("span");
    state.className = "state " + sale.state;
    state.textContent = `${sale.state.replace("_", " ")}, ${sale.left} of ${sale.stock} left`;
    const item = document.createElement("li");
    item.append(link, " ", state);
    return item;
  }));
}

render();
setInterval(render, 5000);
