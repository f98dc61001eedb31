"""Client tokens that belong to a principal."""

from realtime_ui.states.tab_tokens import TabTokens


def test_a_token_belongs_to_its_principal_on_every_worker_and_to_nobody_else() -> None:
    """Each with the same secret agrees; nobody else can make one."""
    one, other, forger = TabTokens("secret"), TabTokens("secret"), TabTokens("guess")
    token = one.make("tenant/ada")
    assert other.belongs(token, "tenant/ada")
    for owner in ("", "tenant/max", "tenant/ad"):
        assert not other.belongs(token, owner)
    assert not one.belongs(forger.make("tenant/ada"), "tenant/ada")
    assert one.make("") != one.make("")
    for junk in (
        "",
        "x",
        token[:-1],
        token + "0",
        token.replace("-", "_"),
        token.upper() + "G",
        "ü" * 65,
        token + "\n",
    ):
        assert not one.belongs(junk, "tenant/ada")
